import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseExactJson } from "./exact-json.ts";

/** The parser's own way to the digits, which is slow. */
function exact(_: string, value: unknown, context?: { readonly source: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  return /^-?\d{1,20}$/.test(context?.source ?? "") ? BigInt(context?.source ?? 0) : value;
}

describe("parseExactJson()", () => {
  test("keeps every digit of a long integer, wherever it stands", () => {
    const text = '{"a": [9223372036854775807, -9223372036854775808,18446744073709551615 ], "b": 9007199254740993}';
    expect(parseExactJson(text)).toEqual({
      a: [9223372036854775807n, -9223372036854775808n, 18446744073709551615n],
      b: 9007199254740993n,
    });
  });

  test("leaves floats, longer numbers and digits inside strings as the parser reads them", () => {
    const text =
      "[0.1234567890123456789, 1e1234567890123456, 1234567890123456.5, 123456789012345678901, 1234567890123456e2]";
    expect(parseExactJson(`${text.slice(0, -1)}, 1234567890123456]`)).toEqual([...JSON.parse(text), 1234567890123456]);
    const strings = String.raw`["1234567890123456", "a\"1234567890123456", "\\", 1234567890123456]`;
    expect(parseExactJson(strings)).toEqual(["1234567890123456", 'a"1234567890123456', "\\", 1234567890123456]);
  });

  test("says where a mistake stands, and what to do about NaN", () => {
    expect(() => parseExactJson('{"a":\n [1, 2,]}')).toThrow("line 2, column 8");
    expect(() => parseExactJson("[9007199254740993, 9007199254740993")).toThrow("line 1, column 36");
    expect(() => parseExactJson("{9007199254740993: 1}")).toThrow("line 1, column 2");
    expect(() => parseExactJson("[1.5, NaN]")).toThrow("NaN and Infinity travel as binary data only");
    expect(() => parseExactJson("[-Infinity]")).toThrow("binary data only");
    expect(() => parseExactJson(" ")).toThrow("has no JSON");
    expect(() => parseExactJson("[".repeat(1_000_000))).toThrow("deeper than 64");
  });

  test("is as fast for strings without an end, however many quotes they have", () => {
    const text = `[9007199254740993, "${String.raw`\"`.repeat(500_000)}`;
    expect(() => parseExactJson(text)).toThrow("not valid JSON");
    expect(parseExactJson(`${text}"]`)).toEqual([9007199254740993n, '"'.repeat(500_000)]);
  });

  test("a member named __proto__ changes nothing but itself", () => {
    const parsed = parseExactJson('{"__proto__": {"x": 9007199254740993}}');
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
    expect(JSON.stringify(Object.keys(parsed as object))).toBe('["__proto__"]');
  });

  test("reads every document as the parser does, but for its long integers", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const text = JSON.stringify(value);
        expect(parseExactJson(text)).toEqual(JSON.parse(text, exact));
      }),
      { numRuns: 300 },
    );
  });

  test("reads arrays of any 64-bit integers exactly", () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })), (values) => {
        const parsed = parseExactJson(`[${values.join(",")}]`) as (number | bigint)[];
        expect(parsed.map(BigInt)).toEqual(values);
      }),
      { numRuns: 300 },
    );
  });
});
