import { describe, expect, test } from "bun:test";
import { textFromValue } from "./text-from-value.ts";

describe("textFromValue()", () => {
  test.each([
    ["as it is", "as it is"],
    ["", ""],
    [null, ""],
    [true, "true"],
    [false, "false"],
    [3, "3"],
    [16000, "16000"],
    [-0.5, "-0.5"],
    [1e-7, "0.0000001"],
    [-1.25e-9, "-0.00000000125"],
    [1e20, "100000000000000000000"],
    [1e21, "1e+21"],
    [1e-300, "1e-300"],
    [["a", 1, null, true], "a;1;;true"],
    [[], ""],
    [[{ a: 1 }, [2, 3]], '{"a":1};2;3'],
    [{ a: { b: "ü" } }, '{"a":{"b":"ü"}}'],
  ])("writes %j as '%s'", (value, text) => {
    expect(textFromValue(value)).toBe(text);
  });
});
