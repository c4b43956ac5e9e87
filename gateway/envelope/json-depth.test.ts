import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isDeeperThan } from "./json-depth.ts";

describe("isDeeperThan()", () => {
  test("agrees with the depth of the parsed value", () => {
    const depthOf = (value: unknown): number =>
      typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
    const property = fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(7), fc.boolean(), (value, bound, spaced) => {
      const text = JSON.stringify(value, null, spaced ? 2 : 0);
      return isDeeperThan(bound, text) === depthOf(value) > bound;
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("reads strings with escaped quotes and backslashes to their end", () => {
    expect(isDeeperThan(1, '["\\\\", "[[", "\\"[["]')).toBe(false);
    expect(isDeeperThan(1, '["\\\\", [], ""]')).toBe(true);
    expect(isDeeperThan(1, '["[[[[')).toBe(false);
  });
});
