import { describe, expect, test } from "bun:test";
import { oipParameters } from "./oip/parameters.ts";
import { typedParameters } from "./parameters.ts";

const schemas = {
  count: { type: "integer" },
  heat: { type: "number" },
  loud: { type: "boolean" },
  words: { type: "array" },
  format: { type: "object" },
  name: { type: "string" },
  any: {},
};

describe("a request's parameters", () => {
  test("get the types that their schemas give them", () => {
    const texts = {
      count: "-3",
      heat: "1e-3",
      loud: "false",
      words: "a;b",
      format: '{"a":1}',
      name: "3",
      any: "4",
      other: "5",
    };
    expect(typedParameters(texts, schemas)).toEqual({
      count: -3,
      heat: 0.001,
      loud: false,
      words: ["a", "b"],
      format: { a: 1 },
      name: "3",
      any: "4",
      other: "5",
    });
    expect(typedParameters({ words: '["a;b"]' }, schemas)).toEqual({ words: ["a;b"] });
  });

  for (const [name, text] of [
    ["count", "1.5"],
    ["count", ""],
    ["heat", "Infinity"],
    ["loud", "yes"],
    ["format", "[]"],
  ] as const) {
    test(`are refused by name: '${text}' is no ${schemas[name].type}`, () => {
      const message = `parameter.${name}: must be of type ${schemas[name].type}, got '${text}'`;
      expect(() => typedParameters({ [name]: text }, schemas)).toThrow(message);
    });
  }

  test("go to an inference server as texts, numbers and booleans alone", () => {
    const texts = { count: "3", loud: "true", words: "a;b", format: '{"a":1}' };
    expect(oipParameters(texts, schemas)).toEqual({ count: 3, loud: true, words: "a;b", format: '{"a":1}' });
  });
});
