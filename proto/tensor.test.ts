import { describe, expect, test } from "bun:test";
import type { Part } from "./gen/athena/v1/part_pb.ts";
import {
  bytesElements,
  bytesFromElements,
  elementBytes,
  partFromTensor,
  type Tensor,
  tensorFromPart,
} from "./tensor.ts";

const floats: Tensor = { datatype: "FP32", shape: [2, 3], data: new Uint8Array(24) };
const declared = { datatype: "FP32", shape: [-1n, 3n] };
const withAttributes = (attributes: Record<string, string>): Part => ({ ...partFromTensor("x", floats), attributes });

describe("tensorFromPart()", () => {
  test("reads what partFromTensor() wrote, for every datatype, empty tensors included", () => {
    for (const [datatype, bytes] of Object.entries(elementBytes)) {
      const tensor = { datatype, shape: [0, 4], data: new Uint8Array(0) } as Tensor;
      expect(tensorFromPart(partFromTensor("x", tensor), { datatype, shape: [-1, 4] })).toEqual(tensor);
      if (bytes === 0) continue;
      const full = { datatype, shape: [2, 2], data: new Uint8Array(4 * bytes).fill(7) } as Tensor;
      expect(tensorFromPart(partFromTensor("x", full), { datatype, shape: [-1, -1] })).toEqual(full);
    }
  });

  test("takes what a part does not say from the definition, and computes the one size that is open", () => {
    expect(tensorFromPart(withAttributes({}), declared).shape).toEqual([2, 3]);
    // What the unified protocol makes of a JSON array.
    expect(tensorFromPart(withAttributes({ shape: "2;3" }), declared).shape).toEqual([2, 3]);
    expect(tensorFromPart(withAttributes({}), { datatype: "FP32", shape: [6] }).shape).toEqual([6]);
    expect(() => tensorFromPart(withAttributes({}), { datatype: "FP32", shape: [-1, -1] })).toThrow("payload.x: shape");
    expect(() => tensorFromPart(withAttributes({}), { datatype: "FP32", shape: [-1, 5] })).toThrow("payload.x: shape");
  });

  test("refuses what is not declared, or does not fit the data, and names the part", () => {
    expect(() => tensorFromPart(withAttributes({ datatype: "FP64" }), declared)).toThrow(
      "payload.x: datatype must be FP32, got FP64",
    );
    expect(() => tensorFromPart(withAttributes({ datatype: "float" }), declared)).toThrow("none of the protocol's");
    expect(() => tensorFromPart(withAttributes({ shape: "[2,4]" }), declared)).toThrow(
      "shape must be [-1,3], got [2,4]",
    );
    expect(() => tensorFromPart(withAttributes({ shape: "[3,3]" }), declared)).toThrow("36 bytes expected");
    for (const shape of ["2x3", ";", "2;-3", "[-1,3]", "[2.5,3]", "{}", "[1e300,3]", '["2",3]', "[[2],3]"]) {
      expect(() => tensorFromPart(withAttributes({ shape }), declared)).toThrow("payload.x: ");
    }
  });

  test("counts the elements of BYTES by their lengths", () => {
    const elements = [new Uint8Array([1, 0, 255]), new Uint8Array(0)];
    const data = bytesFromElements(elements);
    expect(bytesElements(data)).toEqual(elements);
    const part = partFromTensor("x", { datatype: "BYTES", shape: [2], data });
    expect(tensorFromPart(part, { datatype: "BYTES", shape: [-1] }).shape).toEqual([2]);
    expect(() => tensorFromPart({ ...part, data: data.subarray(0, 6) }, { datatype: "BYTES", shape: [-1] })).toThrow(
      "payload.x: its data is not a row",
    );
    expect(() => tensorFromPart(part, { datatype: "BYTES", shape: [3] })).toThrow("payload.x");
  });
});
