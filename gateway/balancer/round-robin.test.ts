import { describe, expect, test } from "bun:test";
import { countPicks, describeBalancer, endpointOf } from "./balancer.cases.ts";
import { createRoundRobin } from "./round-robin.ts";

describeBalancer("round robin", createRoundRobin);

describe("createRoundRobin()", () => {
  test("spreads the heavier endpoint's turns out", () => {
    const balancer = createRoundRobin();
    const snapshot = [endpointOf("a", { weight: 3 }), endpointOf("b", { weight: 1 })];
    const order = Array.from({ length: 8 }, () => balancer.pick(snapshot, { key: undefined, tried: new Set() })?.url);
    expect(order).toEqual(["a", "a", "b", "a", "a", "a", "b", "a"]);
  });

  test("is exact: 1,000 requests in the proportion of the weights", () => {
    const picks = countPicks(
      createRoundRobin(),
      [endpointOf("a", { weight: 3 }), endpointOf("b", { weight: 1 })],
      Array(1000).fill(undefined),
    );
    expect([...picks.values()]).toEqual([750, 250]);
  });

  test("goes on evenly when an endpoint joins", () => {
    const balancer = createRoundRobin();
    const [a, b, c] = [endpointOf("a"), endpointOf("b"), endpointOf("c")];
    countPicks(balancer, [a, b], Array(99).fill(undefined));
    expect([...countPicks(balancer, [a, b, c], Array(300).fill(undefined)).values()]).toEqual([100, 100, 100]);
  });
});
