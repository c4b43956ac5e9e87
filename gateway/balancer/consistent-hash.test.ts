import { describe, expect, test } from "bun:test";
import { countPicks, describeBalancer, endpointOf, seededRandom } from "./balancer.cases.ts";
import { createConsistentHash } from "./consistent-hash.ts";
import { createLeastLoad } from "./least-load.ts";

const create = () => createConsistentHash(1.25, createLeastLoad(seededRandom()));
const nodes = (count: number) => Array.from({ length: count }, (_, i) => endpointOf(`http://10.0.0.${i}:5090`));
const users = Array.from({ length: 100_000 }, (_, i) => `user-${i}`);
const none = new Set<never>();

describeBalancer("consistent hash", create);

describe("createConsistentHash()", () => {
  test("gives each of 10 endpoints 8 to 12 % of 100,000 users", () => {
    for (const count of countPicks(create(), nodes(10), users).values()) expect(count).toBeWithin(8000, 12_000);
  });

  test("moves only the users of the endpoint that leaves", () => {
    const [before, after] = [create(), create()];
    const all = nodes(10);
    const rest = all.slice(0, 9);
    for (const key of users.slice(0, 10_000)) {
      const old = before.pick(all, { key, tried: none });
      const now = after.pick(rest, { key, tried: none });
      if (old !== all[9]) expect(now).toBe(old);
    }
  });

  test("agrees with another process whatever the order of the endpoints", () => {
    const reversed = nodes(10).reverse();
    for (const key of users.slice(0, 1000)) {
      const here = create().pick(nodes(10), { key, tried: none });
      expect(create().pick(reversed, { key, tried: none })?.url).toBe(here?.url);
    }
  });

  test("passes over an endpoint that has 1.25 times its share of the calls under way", () => {
    const snapshot = nodes(4);
    const balancer = create();
    const home = balancer.pick(snapshot, { key: "popular", tried: none });
    for (let i = 0; i < 400; i += 1) {
      const picked = balancer.pick(snapshot, { key: "popular", tried: none });
      if (picked !== undefined) picked.inFlight += 1;
    }
    expect(Math.max(...snapshot.map(({ inFlight }) => inFlight))).toBeLessThanOrEqual(125);
    expect(home?.inFlight).toBe(125);
  });

  test("sends a key to its next endpoint when the first was tried, always the same one", () => {
    const snapshot = nodes(4);
    const first = create().pick(snapshot, { key: "k", tried: none });
    if (first === undefined) throw new Error("nothing was picked");
    const tried = new Set([first]);
    const second = create().pick(snapshot, { key: "k", tried });
    expect(second).not.toBe(first);
    expect(create().pick(snapshot, { key: "k", tried })).toBe(second);
  });

  test("spreads requests without a key", () => {
    const counts = countPicks(create(), nodes(2), Array(100).fill(undefined));
    for (const count of counts.values()) expect(count).toBeGreaterThan(20);
  });
});
