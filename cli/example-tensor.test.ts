import { describe, expect, test } from "bun:test";
import { bytesElements, elementBytes, partFromTensor, tensorFromPart } from "../proto/tensor.ts";
import { exampleTensor } from "./example-tensor.ts";

describe("exampleTensor()", () => {
  for (const datatype of Object.keys(elementBytes)) {
    test(`makes a ${datatype} tensor that the service's own check takes, open sizes as 1`, () => {
      const kind = { datatype, shape: [-1, 2, 3] };
      const tensor = exampleTensor(kind);
      expect(tensor.shape).toEqual([1, 2, 3]);
      expect(tensorFromPart(partFromTensor("x", tensor), kind).data).toEqual(tensor.data);
    });
  }

  test("makes the same numbers every time, fractions within [0, 1) and not all of them the same", () => {
    const kind = { datatype: "FP32", shape: [64] };
    const { data } = exampleTensor(kind);
    expect(exampleTensor(kind).data).toEqual(data);
    const numbers = new Float32Array(data.buffer);
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    expect(new Set(numbers).size).toBe(64);
  });

  test("makes whole numbers that masks and token ids may be", () => {
    const numbers = new BigInt64Array(exampleTensor({ datatype: "INT64", shape: [64] }).data.buffer);
    expect(new Set(numbers)).toEqual(new Set([0n, 1n]));
  });

  test("gives BYTES elements that are text", () => {
    const elements = bytesElements(exampleTensor({ datatype: "BYTES", shape: [-1] }).data);
    expect(elements?.map((element) => new TextDecoder().decode(element))).toEqual(["example"]);
  });

  test("refuses a datatype that is none, and a tensor that is too large", () => {
    expect(() => exampleTensor({ datatype: "FP4", shape: [1] })).toThrow("'FP4'");
    expect(() => exampleTensor({ datatype: "FP32", shape: [65536, 65536] })).toThrow("too large");
  });
});
