import { describe, expect, test } from "bun:test";
import { partFromTensor } from "../../../proto/tensor.ts";
import { joinParts } from "./join-parts.ts";
import { textOf } from "./test-server.ts";

const row = (shape: number[], ...data: number[]) =>
  partFromTensor("t", { datatype: "INT8", shape, data: new Uint8Array(data) });

describe("joinParts()", () => {
  test("puts the data of one name in a row, in the order of the names", () => {
    const joined = joinParts([textOf("a", "1"), textOf("b", "2"), textOf("a", "3")]);
    expect(joined?.map(({ name, data }) => [name, new TextDecoder().decode(data)])).toEqual([
      ["a", "13"],
      ["b", "2"],
    ]);
  });

  test("joins tensors along their first axis", () => {
    const [joined] = joinParts([row([1, 2], 1, 2), row([2, 2], 3, 4, 5, 6)]) ?? [];
    expect(joined?.attributes).toEqual({ datatype: "INT8", shape: "[3,2]" });
    expect([...(joined?.data ?? [])]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("gives up tensors that do not fit together", () => {
    expect(joinParts([row([1, 2], 1, 2), row([1, 1], 3)])).toBeUndefined();
    expect(joinParts([row([], 1), row([], 3)])).toBeUndefined();
    expect(joinParts([row([1], 1), { ...row([1], 3), attributes: { datatype: "INT8", shape: "x" } }])).toBeUndefined();
    expect(
      joinParts([row([1], 1), { ...row([1], 3), attributes: { datatype: "BOOL", shape: "[1]" } }]),
    ).toBeUndefined();
  });
});
