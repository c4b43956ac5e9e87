import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Endpoint } from "../types.ts";
import type { Balancer } from "./balancer.ts";

/** An endpoint at rest, for tests. */
export function endpointOf(url: string, changes: Partial<Endpoint> = {}): Endpoint {
  return { url, weight: 1, inFlight: 0, load: undefined, foreignCalls: 0, ...changes };
}

/** Numbers from 0 to below 1 that are the same on every run (mulberry32). */
export function seededRandom(seed = 1): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const nothingTried: ReadonlySet<Endpoint> = new Set();

/** How often each endpoint is picked, by URL. */
export function countPicks(balancer: Balancer, snapshot: readonly Endpoint[], keys: Iterable<string | undefined>) {
  const counts = new Map<string, number>(snapshot.map(({ url }) => [url, 0]));
  for (const key of keys) {
    const picked = balancer.pick(snapshot, { key, tried: nothingTried });
    if (picked !== undefined) counts.set(picked.url, (counts.get(picked.url) ?? 0) + 1);
  }
  return counts;
}

/** What every balancer promises. */
export function describeBalancer(name: string, create: () => Balancer): void {
  describe(`${name}, as every balancer,`, () => {
    test("picks nothing from nothing", () => {
      expect(create().pick([], { key: "k", tried: nothingTried })).toBeUndefined();
    });

    test("picks the only endpoint there is, however busy", () => {
      const only = endpointOf("http://a", { inFlight: 1000 });
      expect(create().pick([only], { key: "k", tried: nothingTried })).toBe(only);
    });

    test("goes through all endpoints, each once, when each is tried in turn, then picks nothing", () => {
      const arbitrary = fc.record({
        weights: fc.array(fc.double({ min: 0.1, max: 9, noNaN: true }), { minLength: 1, maxLength: 12 }),
        inFlight: fc.array(fc.nat(50), { minLength: 12, maxLength: 12 }),
        key: fc.option(fc.string(), { nil: undefined }),
      });
      fc.assert(
        fc.property(arbitrary, ({ weights, inFlight, key }) => {
          const snapshot = weights.map((weight, i) =>
            endpointOf(`http://${i}`, { weight, inFlight: inFlight[i] ?? 0 }),
          );
          const balancer = create();
          const tried = new Set<Endpoint>();
          for (const _ of snapshot) {
            const picked = balancer.pick(snapshot, { key, tried });
            expect(picked).toBeDefined();
            if (picked === undefined) return;
            expect(tried.has(picked)).toBe(false);
            tried.add(picked);
          }
          expect(balancer.pick(snapshot, { key, tried })).toBeUndefined();
        }),
        { numRuns: 100 },
      );
    });

    test("gives an endpoint of weight 3 about three times as much as one of weight 1", () => {
      const snapshot = [
        endpointOf("http://a", { weight: 3 }),
        endpointOf("http://b", { weight: 1 }),
        endpointOf("http://c", { weight: 1 }),
      ];
      const keys = Array.from({ length: 10_000 }, (_, i) => `user-${i}`);
      const counts = countPicks(create(), snapshot, keys);
      expect((counts.get("http://a") ?? 0) / 10_000).toBeWithin(0.5, 0.7);
    });
  });
}
