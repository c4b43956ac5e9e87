import { expect, test } from "bun:test";
import { describeLimitStore, shareOf } from "./limit-store.cases.ts";
import { isRefusal } from "./limit-store.ts";
import { createMemoryLimits } from "./memory-limits.ts";
import { createMemoryReplays } from "./memory-replays.ts";
import { createRate } from "./rate.ts";

describeLimitStore("the store in memory", async () => {
  let now = 1_750_000_000_000;
  return {
    store: { ...createMemoryLimits(() => now), ...createMemoryReplays(() => now, 1000) },
    advance: (ms) => {
      now += ms;
    },
    async [Symbol.asyncDispose]() {},
  };
});

test("an app that is taken out and comes back owes what it owed, and holds what it held", async () => {
  let now = 0;
  const limits = createMemoryLimits(() => now);
  const share = shareOf({ requests: createRate(1, 1), maxOpen: 1 });
  const held = await limits.take(share);
  limits.keepOnly(new Set());
  expect(await limits.take(share)).toMatchObject({ limit: "calls" });
  if (isRefusal(held)) expect.unreachable();
  else held[Symbol.dispose]();
  limits.keepOnly(new Set());
  expect(await limits.take(share)).toMatchObject({ limit: "requests", waitMs: 1000 });
  now = 1000;
  limits.keepOnly(new Set());
  expect(isRefusal(await limits.take(share))).toBe(false);
});
