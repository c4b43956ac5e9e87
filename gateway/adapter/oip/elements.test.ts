import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../../proto/errors.ts";
import { bytesFromElements, type Datatype } from "../../../proto/tensor.ts";
import { dataFromElements } from "./elements.ts";
import { parseExactJson } from "./exact-json.ts";
import { jsonFromData } from "./json-elements.ts";

const refuse = (what: string): ServingError => new ServingError("SCHEMA_VIOLATION", what);
const dataOf = (datatype: Datatype, elements: readonly unknown[]) => dataFromElements(datatype, elements, refuse);
const jsonOf = (datatype: Datatype, data: Uint8Array) => jsonFromData(datatype, data, refuse);

/** An element of each datatype as JSON has it. */
const elementOf: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  BOOL: fc.boolean(),
  INT8: fc.integer({ min: -128, max: 127 }),
  INT16: fc.integer({ min: -32_768, max: 32_767 }),
  INT32: fc.integer(),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  UINT8: fc.integer({ min: 0, max: 255 }),
  UINT16: fc.integer({ min: 0, max: 65_535 }),
  UINT32: fc.integer({ min: 0, max: 4_294_967_295 }),
  UINT64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  FP32: fc.float({ noDefaultInfinity: true, noNaN: true }),
  FP64: fc.double({ noDefaultInfinity: true, noNaN: true }),
  BYTES: fc.string({ unit: "grapheme" }),
};

describe.each(Object.keys(elementOf) as Datatype[])("elements of %s", (datatype) => {
  test("go to raw data, to JSON and back without a loss, wherever the data stands", () => {
    const elements = fc.array(elementOf[datatype] ?? fc.constant(0), { maxLength: 20 });
    fc.assert(
      fc.property(elements, fc.nat(7), (values, offset) => {
        const data = dataOf(datatype, values);
        // As an answer's part is: a view into a larger buffer of Node's, which need not be aligned.
        const answer = Buffer.concat([Buffer.alloc(offset), data, Buffer.alloc(3)]).subarray(
          offset,
          offset + data.length,
        );
        const json = jsonOf(datatype, answer);
        const parsed = parseExactJson(json) as unknown[];
        expect(dataOf(datatype, parsed)).toEqual(data);
        expect(parsed).toHaveLength(values.length);
      }),
      { numRuns: 200 },
    );
  });
});

describe("dataFromElements()", () => {
  test("writes little-endian elements", () => {
    expect([...dataOf("INT32", [1, -2])]).toEqual([1, 0, 0, 0, 254, 255, 255, 255]);
    expect([...dataOf("INT64", [-2n, 1])]).toEqual([254, ...Array(7).fill(255), 1, ...Array(7).fill(0)]);
    expect([...dataOf("FP32", [1])]).toEqual([0, 0, 128, 63]);
    expect([...dataOf("BYTES", ["é"])]).toEqual([2, 0, 0, 0, 0xc3, 0xa9]);
    expect([...dataOf("BOOL", [true, 0, 1, false])]).toEqual([1, 0, 1, 0]);
  });

  const wrong: readonly (readonly [Datatype, unknown, string])[] = [
    ["BOOL", 2, "true or false"],
    ["BOOL", "true", "true or false"],
    ["INT8", 128, "from -128 to 127"],
    ["INT8", 1.5, "from -128 to 127"],
    ["UINT8", -1, "from 0 to 255"],
    ["INT32", 2 ** 31, "from -2147483648"],
    ["INT32", 2n ** 70n, "from -2147483648"],
    ["INT64", 2n ** 63n, "to 9223372036854775807"],
    ["INT64", 1e17, "to 9223372036854775807"],
    ["INT64", "1", "an integer"],
    ["UINT64", -1, "to 18446744073709551615"],
    ["UINT64", null, "an integer"],
    ["FP32", 1e39, "FP32 can hold"],
    ["FP64", Number.POSITIVE_INFINITY, "FP64 can hold"],
    ["FP64", "1", "a number"],
    ["BYTES", 1, "a string"],
    ["BYTES", null, "a string"],
  ];
  test.each(wrong)("refuses an element of %s that is %p, and says which", (datatype, value, message) => {
    const good = datatype === "BYTES" ? "x" : 0;
    expect(() => dataOf(datatype, [good, value])).toThrow(`data[1] must be`);
    expect(() => dataOf(datatype, [good, value])).toThrow(message);
  });

  test("refuses 16-bit floats, which have no JSON form, both ways", () => {
    for (const datatype of ["FP16", "BF16"] as const) {
      expect(() => dataOf(datatype, [1])).toThrow("binary data only");
      expect(() => jsonOf(datatype, new Uint8Array(2))).toThrow("no JSON form");
    }
  });
});

describe("jsonFromData()", () => {
  test("writes integers with all their digits, and a zero's sign", () => {
    expect(jsonOf("INT64", dataOf("INT64", [2n ** 63n - 1n, -1]))).toBe("[9223372036854775807,-1]");
    expect(jsonOf("FP64", dataOf("FP64", [0.1, -0, 1e300, 5e-324]))).toBe("[0.1,-0.0,1e+300,5e-324]");
    expect(jsonOf("BOOL", new Uint8Array([0, 1, 255]))).toBe("[false,true,true]");
  });

  test("refuses what JSON cannot hold: no numbers, infinities, bytes that are not UTF-8", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(() => jsonOf("FP32", new Uint8Array(new Float32Array([1, value]).buffer))).toThrow("not finite");
      expect(() => jsonOf("FP64", new Uint8Array(new Float64Array([value]).buffer))).toThrow("not finite");
    }
    expect(() => jsonOf("BYTES", bytesFromElements([new Uint8Array([0xff])]))).toThrow("not UTF-8");
    expect(jsonOf("BYTES", bytesFromElements([new Uint8Array([0x61, 0])]))).toBe(String.raw`["a\u0000"]`);
  });
});
