import { afterEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isRefusal, type LimitStore, type ReplayStore, type Share, type Verdict } from "./limit-store.ts";
import { createRate } from "./rate.ts";

/** A store with a clock that a test moves. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: LimitStore & ReplayStore;
  advance(ms: number): void;
}

/** A share of an app that nothing limits, with changes. */
export function shareOf(changes: Partial<Share> = {}): Share {
  return {
    app: "a",
    kind: "call",
    requests: undefined,
    bytes: undefined,
    byteCount: 0,
    maxOpen: undefined,
    ...changes,
  };
}

function granted(verdict: Verdict): Disposable {
  if (isRefusal(verdict)) throw new Error(`refused: ${verdict.limit}`);
  return verdict;
}

/** By how much the busiest span of time had more requests than the rate and one burst allow. */
function excessOf(admittedAt: readonly number[], perSecond: number, burst: number): number {
  const excesses = admittedAt.flatMap((from, first) =>
    admittedAt.slice(first).map((until, more) => more + 1 - burst - ((until - from) * perSecond) / 1000),
  );
  return Math.max(0, ...excesses);
}

/** What every store of limits and signatures promises. */
export function describeLimitStore(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`${name}, as every limit store,`, () => {
    const running: StoreUnderTest[] = [];
    const start = async (): Promise<StoreUnderTest> => {
      const started = await create();
      running.push(started);
      return started;
    };
    afterEach(async () => {
      for (const started of running.splice(0)) await started[Symbol.asyncDispose]();
    });

    test("lets a burst in, says how long the next has to wait, and lets it in then", async () => {
      const { store, advance } = await start();
      const share = shareOf({ requests: createRate(10, 5) });
      for (let i = 0; i < 5; i++) granted(await store.take(share));
      const refusal = await store.take(share);
      expect(refusal).toMatchObject({ limit: "requests" });
      const waitMs = isRefusal(refusal) ? refusal.waitMs : Number.NaN;
      expect(waitMs).toBeCloseTo(100, 1);
      advance(waitMs - 1);
      expect(await store.take(share)).toMatchObject({ limit: "requests" });
      advance(1);
      granted(await store.take(share));
    });

    test("lets no more in, over any span of time, than the rate and one burst", async () => {
      const { store, advance } = await start();
      const steps = fc.array(fc.nat(400), { minLength: 20, maxLength: 60 });
      let apps = 0;
      await fc.assert(
        fc.asyncProperty(
          steps,
          fc.integer({ min: 1, max: 20 }),
          fc.integer({ min: 1, max: 8 }),
          async (waits, perSecond, burst) => {
            const share = shareOf({ app: `app-${apps++}`, requests: createRate(perSecond, burst) });
            const admittedAt: number[] = [];
            let now = 0;
            for (const wait of waits) {
              advance(wait);
              now += wait;
              if (!isRefusal(await store.take(share))) admittedAt.push(now);
            }
            expect(excessOf(admittedAt, perSecond, burst)).toBeLessThan(0.01);
          },
        ),
        { numRuns: 15 },
      );
    });

    test("lets a large request in while there are bytes left, and what follows when it is paid for", async () => {
      const { store, advance } = await start();
      const bytes = createRate(1000, 1000);
      granted(await store.take(shareOf({ bytes, byteCount: 5000 })));
      expect(await store.take(shareOf({ bytes, byteCount: 1 }))).toMatchObject({ limit: "bytes" });
      expect(await store.spend("a", bytes, 1)).toBeCloseTo(4001, 0);
      advance(4001);
      expect(await store.spend("a", bytes, 500)).toBe(0);
      expect(await store.spend("a", bytes, 1)).toBeGreaterThan(0);
    });

    test("holds calls and sessions apart, and each up to its own number", async () => {
      const { store } = await start();
      const call = shareOf({ maxOpen: 2 });
      const session = shareOf({ kind: "session", maxOpen: 1 });
      const first = granted(await store.take(call));
      granted(await store.take(call));
      granted(await store.take(session));
      expect(await store.take(call)).toEqual({ limit: "calls", waitMs: 0 });
      expect(await store.take(session)).toEqual({ limit: "sessions", waitMs: 0 });
      first[Symbol.dispose]();
      granted(await store.take(call));
      expect(await store.take(session)).toEqual({ limit: "sessions", waitMs: 0 });
    });

    test("counts a share that is given back twice once", async () => {
      const { store } = await start();
      const share = shareOf({ maxOpen: 2 });
      const first = granted(await store.take(share));
      granted(await store.take(share));
      first[Symbol.dispose]();
      first[Symbol.dispose]();
      granted(await store.take(share));
      expect(await store.take(share)).toMatchObject({ limit: "calls" });
    });

    test("takes nothing of a share that it refuses", async () => {
      const { store, advance } = await start();
      const requests = createRate(1, 1);
      const bytes = createRate(10, 10);
      const open = granted(await store.take(shareOf({ maxOpen: 1 })));
      for (let i = 0; i < 3; i++) {
        expect(await store.take(shareOf({ requests, bytes, byteCount: 50, maxOpen: 1 }))).toMatchObject({
          limit: "calls",
        });
      }
      open[Symbol.dispose]();
      granted(await store.take(shareOf({ requests, bytes, byteCount: 11, maxOpen: 1 })))[Symbol.dispose]();
      expect(await store.take(shareOf({ requests, maxOpen: 1 }))).toMatchObject({ limit: "requests" });
      advance(1000);
      granted(await store.take(shareOf({ requests, maxOpen: 1 })));
    });

    test("keeps the limits of one app from those of another", async () => {
      const { store } = await start();
      const share = shareOf({ requests: createRate(1, 1), maxOpen: 1 });
      granted(await store.take(share));
      granted(await store.take({ ...share, app: "b" }));
      expect(isRefusal(await store.take(share))).toBe(true);
    });

    test("grants exactly as many as there are when many ask at once", async () => {
      const { store } = await start();
      const verdicts = await Promise.all(Array.from({ length: 40 }, async () => store.take(shareOf({ maxOpen: 7 }))));
      expect(verdicts.filter((verdict) => !isRefusal(verdict))).toHaveLength(7);
    });

    test("tells a signature's first use from the later ones, and how long ago it was", async () => {
      const { store, advance } = await start();
      expect(await store.firstUse("k", "s", 60_000)).toBeUndefined();
      expect(await store.firstUse("k", "s", 60_000)).toBeCloseTo(0, 1);
      advance(1500);
      expect(await store.firstUse("k", "s", 60_000)).toBeCloseTo(1500, 1);
      expect(await store.firstUse("k", "other", 60_000)).toBeUndefined();
      expect(await store.firstUse("other", "s", 60_000)).toBeUndefined();
    });
  });
}
