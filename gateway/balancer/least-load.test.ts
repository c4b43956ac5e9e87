import { describe, expect, test } from "bun:test";
import { countPicks, describeBalancer, endpointOf, seededRandom } from "./balancer.cases.ts";
import { createLeastLoad } from "./least-load.ts";

const load = (total: number, idle: number, queued = 0) => ({ total, best: total, idle, queued, waitMs: 0 });

describeBalancer("least load", () => {
  // Weights decide between endpoints that are equally busy; here no request ever ends, so they fill in proportion.
  const balancer = createLeastLoad(seededRandom());
  return {
    pick(snapshot, request) {
      const picked = balancer.pick(snapshot, request);
      if (picked !== undefined) picked.inFlight += 1;
      return picked;
    },
  };
});

describe("createLeastLoad()", () => {
  test("never picks the busier of two", () => {
    const pair = [endpointOf("a"), endpointOf("b", { inFlight: 1 })];
    const picks = countPicks(createLeastLoad(seededRandom()), pair, Array(100).fill(undefined));
    expect(picks.get("b")).toBe(0);
  });

  test("counts the calls of other gateways that the loader stated", () => {
    const pair = [
      endpointOf("busy", { load: load(4, 0, 3), foreignCalls: 7 }),
      endpointOf("free", { load: load(4, 3) }),
    ];
    const picks = countPicks(createLeastLoad(seededRandom()), pair, Array(100).fill(undefined));
    expect(picks.get("busy")).toBe(0);
  });

  test("counts its own calls, whatever the loader's last answer said of them", () => {
    const pair = [endpointOf("stale", { load: load(4, 4), inFlight: 4 }), endpointOf("free", { load: load(4, 0) })];
    const picks = countPicks(createLeastLoad(seededRandom()), pair, Array(100).fill(undefined));
    expect(picks.get("stale")).toBe(0);
  });

  test("prefers the larger of two endpoints with as many calls", () => {
    const pair = [
      endpointOf("small", { load: load(2, 1), inFlight: 1 }),
      endpointOf("large", { load: load(8, 7), inFlight: 1 }),
    ];
    const picks = countPicks(createLeastLoad(seededRandom()), pair, Array(100).fill(undefined));
    expect(picks.get("small")).toBe(0);
  });

  test("spreads over endpoints that are all idle", () => {
    const snapshot = Array.from({ length: 5 }, (_, i) => endpointOf(`${i}`));
    const picks = countPicks(createLeastLoad(seededRandom()), snapshot, Array(5000).fill(undefined));
    for (const count of picks.values()) expect(count).toBeWithin(800, 1200);
  });
});
