import { describe, expect, test } from "bun:test";
import { endpointOf } from "./balancer.cases.ts";
import { ringFromSnapshot } from "./hash-ring.ts";

describe("a hash ring", () => {
  test("has points in proportion to weight", () => {
    const { points } = ringFromSnapshot([endpointOf("a"), endpointOf("b", { weight: 2.5 })]);
    expect(points.length).toBe(256 + 640);
  });

  test("stays bounded however many and heavy its endpoints are", () => {
    const heavy = Array.from({ length: 300 }, (_, index) => endpointOf(`e${index}`, { weight: 1000 }));
    const { points } = ringFromSnapshot(heavy);
    expect(points.length).toBeLessThanOrEqual(262_144);
    expect(points.length).toBeGreaterThan(131_072);
  });

  test("of no endpoints has no points", () => {
    expect(ringFromSnapshot([]).points.length).toBe(0);
  });
});
