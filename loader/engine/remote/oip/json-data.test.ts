import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bytesFromElements, type Datatype, elementBytes } from "../../../../proto/tensor.ts";
import { dataFromJson, jsonFromTensor, parseExactly } from "./json-data.ts";

const bytesOf = (array: { buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer);
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** There and back through JSON, as text between two servers. */
function roundTrip(datatype: Datatype, count: number, data: Uint8Array): Uint8Array {
  const json = jsonFromTensor({ datatype, shape: [count], data }, "utf8");
  const { inner } = parseExactly(`{"datatype":"${datatype}","inner":${json}}`) as { inner: unknown };
  return dataFromJson(datatype, [count], inner, "utf8");
}

describe("a tensor's data in JSON", () => {
  const integers = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"] as const;
  for (const datatype of integers) {
    test(`keeps every bit of ${datatype}`, () => {
      fc.assert(
        fc.property(fc.array(fc.uint8Array({ minLength: 8, maxLength: 8 }), { maxLength: 5 }), (chunks) => {
          const data = new Uint8Array(chunks.flatMap((chunk) => [...chunk]));
          expect(roundTrip(datatype, data.length / elementBytes[datatype], data)).toEqual(data);
        }),
      );
    });
  }

  test("keeps FP32 and FP64 to the last bit", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true })), (numbers) => {
        // JSON has no negative zero for servers to read back.
        const doubles = Float64Array.from(numbers, (number) => number + 0);
        const floats = Float32Array.from(
          doubles.filter((number) => Number.isFinite(Math.fround(number))),
          (number) => Math.fround(number) + 0,
        );
        expect(roundTrip("FP64", doubles.length, bytesOf(doubles))).toEqual(bytesOf(doubles));
        expect(roundTrip("FP32", floats.length, bytesOf(floats))).toEqual(bytesOf(floats));
      }),
    );
  });

  test("keeps texts of any letters, and booleans", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), (texts) => {
        const data = bytesFromElements(texts.map(utf8));
        expect(roundTrip("BYTES", texts.length, data)).toEqual(data);
      }),
    );
    expect(roundTrip("BOOL", 2, new Uint8Array([1, 0]))).toEqual(new Uint8Array([1, 0]));
  });

  test("writes 64 bits as bare integers with every digit", () => {
    const data = bytesOf(new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n]));
    const json = jsonFromTensor({ datatype: "INT64", shape: [2], data }, "utf8");
    expect(json).toBe("[-9223372036854775808,9223372036854775807]");
  });

  test("reads data that begins anywhere in a larger buffer", () => {
    const data = new Uint8Array([9, 1, 0, 0, 0]).subarray(1);
    expect(jsonFromTensor({ datatype: "INT32", shape: [1], data }, "utf8")).toBe("[1]");
  });

  test("carries bytes as base64 where that is asked for", () => {
    const data = bytesFromElements([new Uint8Array([255, 0])]);
    expect(jsonFromTensor({ datatype: "BYTES", shape: [1], data }, "base64")).toBe(`["/wA="]`);
    expect(dataFromJson("BYTES", [1], ["/wA="], "base64")).toEqual(data);
  });

  for (const [datatype, data, message] of [
    ["FP16", new Uint8Array(2), "FP16 can travel in binary only"],
    ["BF16", new Uint8Array(2), "BF16 can travel in binary only"],
    ["FP32", bytesOf(new Float32Array([Number.NaN])), "NaN and infinity"],
    ["FP64", bytesOf(new Float64Array([Number.POSITIVE_INFINITY])), "NaN and infinity"],
    ["BYTES", bytesFromElements([new Uint8Array([255])]), "bytes that are not UTF-8"],
  ] as const) {
    test(`cannot carry ${datatype}: ${message}`, () => {
      expect(() => jsonFromTensor({ datatype, shape: [1], data }, "utf8")).toThrow(message);
    });
  }

  test("may be nested, and a number that a server has none for is null", () => {
    expect(
      dataFromJson(
        "INT8",
        [2, 2],
        [
          [1, 2],
          [3, [4]],
        ],
        "utf8",
      ),
    ).toEqual(new Uint8Array([1, 2, 3, 4]));
    expect(dataFromJson("FP32", [0], [], "utf8")).toHaveLength(0);
    expect([...new Float32Array(dataFromJson("FP32", [1], [null], "utf8").buffer)]).toEqual([Number.NaN]);
  });

  for (const [datatype, json, message] of [
    ["FP32", undefined, "not an array"],
    ["FP32", [1, 2], "does not fit its shape"],
    ["FP32", ["1"], "not a number"],
    ["FP16", [1], "in binary only"],
    ["INT8", [128], "not of INT8"],
    ["UINT32", [-1], "not of UINT32"],
    ["INT32", [1.5], "not of INT32"],
    ["INT32", [null], "not a number"],
    ["INT64", [2n ** 63n], "not an integer of 64 bits"],
    ["UINT64", [-1], "not an integer of 64 bits"],
    ["INT64", [2 ** 60], "not an integer of 64 bits"],
    ["BOOL", [2], "not true or false"],
    ["BYTES", [1], "not a text"],
  ] as const) {
    test(`is refused as ${datatype} when it is ${JSON.stringify(json, (_, value) => (typeof value === "bigint" ? String(value) : value))}`, () => {
      expect(() => dataFromJson(datatype, [1], json, "utf8")).toThrow(message);
    });
  }

  test("is refused when it is nested without end", () => {
    let json: unknown = [1];
    for (let depth = 0; depth < 100; depth += 1) json = [json];
    expect(() => dataFromJson("INT8", [1], json, "utf8")).toThrow("not an array");
  });
});
