import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { schemaFromDialect } from "../schema/dialect.ts";
import { compileSchema } from "../schema/schema-check.ts";
import { sampleFrom } from "./sample.ts";

const schemas: readonly object[] = [
  { type: "string", minLength: 9, maxLength: 10 },
  { type: "string", maxLength: 2 },
  { type: "string", enum: [null, "a"] },
  { type: "integer", minimum: 4, multipleOf: 3 },
  { type: "integer", exclusiveMinimum: 6, multipleOf: 3 },
  { type: "integer", maximum: -3 },
  { type: "number", exclusiveMinimum: 0, maximum: 1 },
  { type: "array", items: { type: "boolean" }, minItems: 2 },
  { type: ["null", "array"], items: { const: 7 } },
  { const: { a: 1 } },
  { examples: ["b"], pattern: "^b$" },
  { type: "string", pattern: "^[A-F]{3}-\\d{7}$" },
  { type: "string", pattern: "^(?:on|off)\\.[a-z]+$", minLength: 12 },
  { type: "string", pattern: "^\\p{L}+$", maxLength: 3 },
  { default: 5, minimum: 5 },
  { anyOf: [{ type: "integer" }, { type: "string" }] },
  {
    allOf: [
      { required: ["a"], properties: { a: { type: "string" } } },
      { properties: { b: {} }, required: ["b"] },
    ],
  },
  {
    properties: { a: { $ref: "#/$defs/x~1y" } },
    required: ["a"],
    $defs: { "x/y": { type: "string", format: "uuid" } },
  },
  ...["date-time", "date", "time", "email", "hostname", "ipv4", "ipv6", "uri"].map((format) => ({
    type: "string",
    format,
  })),
];

describe("sampleFrom()", () => {
  test.each(schemas.map((schema) => [JSON.stringify(schema), schema]))("gives what %s lets through", (_, schema) => {
    const check = compileSchema(schemaFromDialect(schema));
    for (const extent of ["required", "all"] as const) {
      const sample = sampleFrom(schemaFromDialect(schema), extent);
      expect({ sample, mistakes: check(sample) }).toEqual({ sample, mistakes: undefined });
    }
  });

  test("has the required members, or all of them", () => {
    const schema = { properties: { a: { type: "string" }, b: { type: "integer" } }, required: ["b"] };
    expect(sampleFrom(schema, "required")).toEqual({ b: 1 });
    expect(sampleFrom(schema, "all")).toEqual({ a: "text", b: 1 });
  });

  test("makes no text for a pattern that asks for millions of letters, or is none", () => {
    for (const pattern of ["^(?:a{1000}){1000}b$", "^a{1000000}b$", "("]) {
      expect(sampleFrom({ type: "string", pattern }, "all")).toBe("text");
    }
    const nested = { type: "string", pattern: "^(?:(?:(?:(?:ab)*)*)*)*$", minLength: 1000 };
    expect(sampleFrom(nested, "all")).toBe("text".padEnd(1000, "x"));
  });

  test("ends for schemas that refer to themselves, and for what is no schema at all", () => {
    const endless = { properties: { next: { $ref: "#" } }, required: ["next"] };
    expect(JSON.stringify(sampleFrom(endless, "all")).length).toBeLessThan(1000);
    expect(sampleFrom({ $ref: "#/nowhere" }, "all")).toBe("text");
    const property = fc.property(fc.jsonValue(), (schema) => {
      expect(() => sampleFrom(schema, "all")).not.toThrow();
    });
    fc.assert(property, { numRuns: 500 });
  });
});
