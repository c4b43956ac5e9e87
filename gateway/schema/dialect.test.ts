import { describe, expect, test } from "bun:test";
import { schemaFromDialect } from "./dialect.ts";
import { compileSchema } from "./schema-check.ts";

function passes(schema: unknown, value: unknown): boolean {
  return compileSchema(schemaFromDialect(schema))(value) === undefined;
}

describe("schemaFromDialect()", () => {
  test("lets null pass type and enum, and required only ask for presence", () => {
    const schema = {
      type: "object",
      properties: { a: { type: "string", maxLength: 2 }, b: { type: "integer", enum: [3] }, c: { const: 1 } },
      required: ["a"],
    };
    expect(passes(schema, { a: null, b: null })).toBe(true);
    expect(passes(schema, { b: 3 })).toBe(false);
    expect(passes(schema, { a: "abc" })).toBe(false);
    expect(passes(schema, { a: "", b: "3" })).toBe(false);
    expect(passes(schema, { a: "", c: 2 })).toBe(false);
  });

  test("refuses unknown keys where keys are declared, at any depth, unless additionalProperties speaks", () => {
    const inner = { type: "object", properties: { a: { type: "string" } } };
    expect(passes({ properties: { inner } }, { inner: { a: "" } })).toBe(true);
    expect(passes({ properties: { inner } }, { inner: { b: "" } })).toBe(false);
    expect(passes({ properties: { inner: { ...inner, additionalProperties: true } } }, { inner: { b: "" } })).toBe(
      true,
    );
    expect(passes({ type: "object" }, { b: "" })).toBe(true);
    const typed = { ...inner, additionalProperties: { type: "integer" } };
    expect(passes(typed, { b: 1 })).toBe(true);
    expect(passes(typed, { b: "" })).toBe(false);
  });

  test("knows a key that another part of a combined schema declares", () => {
    const schema = {
      properties: { kind: { type: "string" } },
      allOf: [{ properties: { a: { type: "string" } } }],
      if: { properties: { kind: { const: "b" } } },
      // biome-ignore lint/suspicious/noThenProperty: the name of a JSON Schema keyword.
      then: { properties: { b: { type: "string" } }, required: ["b"] },
    };
    expect(passes(schema, { kind: "a", a: "" })).toBe(true);
    expect(passes(schema, { kind: "b", a: "", b: "" })).toBe(true);
    expect(passes(schema, { kind: "b", a: "" })).toBe(false);
    expect(passes(schema, { kind: "a", c: "" })).toBe(false);
    const open = { properties: { a: {} }, allOf: [{ patternProperties: { "^x": { type: "string" } } }] };
    expect(passes(open, { a: 1, xy: "" })).toBe(true);
    expect(passes(open, { a: 1, xy: 1 })).toBe(false);
    const patterns = { properties: { a: {} }, patternProperties: { "^x": {} } };
    expect(passes(patterns, { a: 1, xy: 1 })).toBe(true);
    expect(passes(patterns, { a: 1, y: 1 })).toBe(false);
  });

  test("closes the alternatives of a schema that declares no keys itself", () => {
    const alternatives = [
      { properties: { a: {} }, required: ["a"] },
      { properties: { b: {} }, required: ["b"] },
    ];
    for (const keyword of ["anyOf", "oneOf"]) {
      expect(passes({ [keyword]: alternatives }, { a: 1 })).toBe(true);
      expect(passes({ [keyword]: alternatives }, { a: 1, b: 1 })).toBe(false);
    }
    const around = { properties: { kind: {} }, anyOf: alternatives };
    expect(passes(around, { kind: 1, a: 1 })).toBe(true);
    expect(passes(around, { kind: 1, a: 1, c: 1 })).toBe(false);
  });

  test("leaves exactly one alternative to oneOf", () => {
    const schema = { oneOf: [{ type: "string" }, { type: "integer" }] };
    expect(passes(schema, "a")).toBe(true);
    expect(passes(schema, 1)).toBe(true);
    expect(passes(schema, null)).toBe(false);
  });

  test("follows references into the schema's own definitions", () => {
    const schema = {
      $defs: { mode: { type: "string", enum: ["fast"] } },
      definitions: { tree: { properties: { next: { $ref: "#/definitions/tree" } } } },
      properties: { mode: { $ref: "#/$defs/mode" }, tree: { $ref: "#/definitions/tree" } },
    };
    expect(passes(schema, { mode: "fast", tree: { next: { next: {} } } })).toBe(true);
    expect(passes(schema, { mode: "slow" })).toBe(false);
    expect(passes(schema, { tree: { next: { nest: {} } } })).toBe(false);
  });

  test("understands the predecessor's spellings", () => {
    expect(passes({ type: "bool" }, true)).toBe(true);
    expect(passes({ type: "string|integer" }, 1)).toBe(true);
    expect(passes({ type: "string|integer" }, 1.5)).toBe(false);
    expect(passes({ enums: ["a"] }, "b")).toBe(false);
    expect(passes({ items: [{ type: "string" }, { type: "integer" }] }, ["a", "b"])).toBe(false);
  });

  test("ignores keywords and formats that it does not know, and identities", () => {
    const schema = {
      $schema: "http://json-schema.org/draft-07/schema#",
      $id: "https://example.com/one",
      defaultVal: 1,
      maxB64DLen: 5,
      switch: [],
      constructor: 1,
      format: "phone",
    };
    expect(passes(schema, "x")).toBe(true);
    expect(passes(schema, "x")).toBe(true);
  });

  test("declares keys that every object inherits as it does others", () => {
    const schema = { properties: { constructor: { type: "string" }, toString: { type: "string" } } };
    expect(passes(schema, {})).toBe(true);
    expect(passes(schema, { constructor: "a" })).toBe(true);
    expect(passes(schema, { constructor: 1 })).toBe(false);
    expect(passes({ properties: { a: {} } }, JSON.parse('{"__proto__":1}'))).toBe(false);
  });

  test("refuses what is no schema", () => {
    expect(() => schemaFromDialect(5)).toThrow("must be an object, true or false");
    expect(() => schemaFromDialect({ properties: [] })).toThrow("'properties' must be an object of schemas");
    expect(() => schemaFromDialect({ properties: { a: "string" } })).toThrow("must be an object, true or false");
    const deep = Array.from({ length: 100_000 }).reduce<unknown>((inner) => ({ not: {}, items: inner }), {});
    expect(() => schemaFromDialect(deep)).toThrow("deeper than 64");
  });
});
