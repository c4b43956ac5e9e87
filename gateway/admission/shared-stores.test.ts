import { describe, expect, test } from "bun:test";
import { shareOf } from "./limit-store.cases.ts";
import { isRefusal } from "./limit-store.ts";
import { createMemoryLimits } from "./memory-limits.ts";
import { createMemoryReplays } from "./memory-replays.ts";
import { createSharedStores, type Stores } from "./shared-stores.ts";

const memory = (): Stores => ({ ...createMemoryLimits(() => 0), ...createMemoryReplays(() => 0, 100) });

/** Stores of which the shared one can be made to fail. */
function start(whenDown: "local" | "refuse") {
  const state = { isUp: true, isBroken: false, failures: 0 };
  const inner = memory();
  const guard = <Result>(run: () => Result): Result => {
    if (state.isBroken) throw new Error("the connection broke");
    return run();
  };
  const shared: Stores = {
    take: async (share) => guard(() => inner.take(share)),
    spend: async (app, rate, bytes) => guard(() => inner.spend(app, rate, bytes)),
    firstUse: async (key, signature, keepMs) => guard(() => inner.firstUse(key, signature, keepMs)),
  };
  const stores = createSharedStores({
    shared,
    local: memory(),
    isUp: () => state.isUp,
    whenDown,
    onFailure: () => {
      state.failures += 1;
    },
  });
  return { state, stores };
}

const share = shareOf({ maxOpen: 1 });
const rate = { intervalMs: 1000, toleranceMs: 1000 };

describe("createSharedStores()", () => {
  test("lets the local limits decide while the shared store is down, whether that is known or not", async () => {
    for (const down of [{ isUp: false }, { isBroken: true }]) {
      const { state, stores } = start("local");
      await stores.take(share);
      Object.assign(state, down);
      expect(isRefusal(await stores.take(share))).toBe(false);
      expect(await stores.take(share)).toMatchObject({ limit: "calls" });
      expect(await stores.spend("a", rate, 1)).toBe(0);
      expect(await stores.spend("a", rate, 1)).toBeGreaterThan(0);
      expect(await stores.firstUse("k", "s", 1000)).toBeUndefined();
      expect(await stores.firstUse("k", "s", 1000)).toBe(0);
      expect(state.failures).toBe(down.isBroken ? 6 : 0);
    }
  });

  test("refuses what is limited while the shared store is down, where that is configured", async () => {
    for (const down of [{ isUp: false }, { isBroken: true }]) {
      const { state, stores } = start("refuse");
      Object.assign(state, down);
      await expect(stores.take(share)).rejects.toMatchObject({ reason: "ADMISSION_UNAVAILABLE" });
      await expect(stores.spend("a", rate, 1)).rejects.toMatchObject({ reason: "ADMISSION_UNAVAILABLE" });
      await expect(stores.firstUse("k", "s", 1)).rejects.toMatchObject({ reason: "ADMISSION_UNAVAILABLE" });
    }
  });

  test("lets in what is not limited without a word to the shared store", async () => {
    for (const whenDown of ["local", "refuse"] as const) {
      const { state, stores } = start(whenDown);
      Object.assign(state, { isBroken: true });
      expect(isRefusal(await stores.take(shareOf({})))).toBe(false);
      expect(state.failures).toBe(0);
    }
  });

  test("gives a share back to the store that granted it", async () => {
    const { state, stores } = start("local");
    const held = await stores.take(share);
    state.isUp = false;
    const local = await stores.take(share);
    state.isUp = true;
    if (!isRefusal(local)) local[Symbol.dispose]();
    expect(await stores.take(share)).toMatchObject({ limit: "calls" });
    if (!isRefusal(held)) held[Symbol.dispose]();
    expect(isRefusal(await stores.take(share))).toBe(false);
  });
});
