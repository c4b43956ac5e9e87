import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { positionOfMistake } from "./json-position.ts";

describe("positionOfMistake()", () => {
  test.each([
    ["", 1, 1],
    ["{", 1, 2],
    ["{,}", 1, 2],
    ['{"a" 1}', 1, 6],
    ['{"a":1,}', 1, 8],
    ['{"a":1]', 1, 7],
    ["[1,]", 1, 4],
    ["[1 2]", 1, 4],
    ["[01]", 1, 2],
    ["[-]", 1, 2],
    ["truth", 1, 1],
    ["{} {}", 1, 4],
    ['{\n  "a": nope\n}', 2, 8],
    ['"a\nb"', 1, 3],
    ['["\\x"]', 1, 3],
    ['["\\u12g4"]', 1, 3],
    ['["open', 1, 7],
    ["['a']", 1, 2],
    ["\ufeff{}", 1, 1],
  ])("finds the mistake of %j in line %i, column %i", (text, line, column) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(positionOfMistake(text)).toEqual({ line, column });
  });

  test("finds no mistake in what the parser accepts", () => {
    const property = fc.property(fc.json(), (text) => {
      expect(positionOfMistake(text)).toEqual({ line: 1, column: text.length + 1 });
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("finds a character that is allowed nowhere, or the token that it breaks", () => {
    const property = fc.property(fc.json(), fc.nat(), (text, at) => {
      const place = at % (text.length + 1);
      const { column } = positionOfMistake(`${text.slice(0, place)}\u0001${text.slice(place)}`);
      expect(column).toBeLessThanOrEqual(place + 1);
      expect(text.slice(column - 1, place)).toMatch(/^([\w.+-]*|\\(u[\da-f]{0,3})?)$/);
    });
    fc.assert(property, { numRuns: 300 });
  });
});
