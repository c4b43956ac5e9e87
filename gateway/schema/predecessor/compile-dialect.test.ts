import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { compileDialect, type SchemaMistake } from "./compile-dialect.ts";
import { createMistakeList, isEmpty } from "./mistake-list.ts";
import { copyOf } from "./value.ts";

function run(schema: unknown, value: unknown): { valid: boolean; result: unknown; mistakes: readonly string[] } {
  const mistakes: SchemaMistake[] = [];
  const compiled = compileDialect(schema, mistakes);
  if (mistakes.length > 0) throw new Error(JSON.stringify(mistakes));
  const result = copyOf(value);
  const found = createMistakeList();
  compiled.check(result, "$", found);
  return { valid: isEmpty(found), result, mistakes: [...found.texts, ...found.tooLarge] };
}

function mistakesOf(schema: unknown, ignoreUnknown = false): readonly string[] {
  const mistakes: SchemaMistake[] = [];
  compileDialect(schema, mistakes, { ignoreUnknown });
  return mistakes.map(({ path, message }) => `${path.join(".")}: ${message}`);
}

/** What the predecessor's own validator answered, each case forty times alike. */
interface Vector {
  readonly schema: unknown;
  readonly value?: unknown;
  readonly loads?: false;
  readonly valid?: boolean;
  readonly result?: unknown;
}

const vectors: readonly Vector[] = (await Bun.file(join(import.meta.dir, "dialect-vectors.jsonl")).text())
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

describe("compileDialect()", () => {
  test("checks, rewrites and refuses as the predecessor's validator did", () => {
    expect(vectors.length).toBeGreaterThan(400);
    for (const { schema, value, loads, valid, result } of vectors) {
      const outcome: unknown = loads === false ? mistakesOf(schema).length > 0 : run(schema, value);
      const expected: unknown = loads === false ? true : { valid, result, mistakes: expect.any(Array) };
      expect({ schema, value, outcome }).toEqual({ schema, value, outcome: expected });
    }
  });

  describe("differs from it on purpose:", () => {
    const members = (properties: object) => ({ type: "object", properties });

    test("a text that is a number is formatted as that number, not as 0, and one that is none stays", () => {
      const schema = members({ a: { formatVal: "number" } });
      expect(run(schema, { a: "1.5" }).result).toEqual({ a: 1.5 });
      expect(run(schema, { a: "x" }).result).toEqual({ a: "x" });
    });

    test("lists and objects become the texts that engines get everywhere else", () => {
      const schema = members({ a: { formatVal: "string" } });
      expect(run(schema, { a: [1, "b"] }).result).toEqual({ a: "1;b" });
      expect(run(schema, { a: { b: 1 } }).result).toEqual({ a: '{"b":1}' });
    });

    test("what an alternative or a condition that is only tried would rewrite is not rewritten", () => {
      const first = { properties: { a: { type: "string", constVal: "x" }, c: { defaultVal: 1 } } };
      const second = { properties: { a: { type: "integer" }, c: { defaultVal: 2 } } };
      expect(run({ anyOf: [first, second] }, { a: 5 })).toMatchObject({ valid: true, result: { a: 5, c: 2 } });
      expect(run({ if: first, else: { required: ["a"] } }, { a: 5 }).result).toEqual({ a: 5 });
      expect(run({ not: first }, { a: 5 })).toMatchObject({ valid: true, result: { a: 5 } });
    });

    test("where the predecessor followed the order of a Go map, the schema's own order holds", () => {
      const schema = members({ a: { replaceKey: "b" }, b: { replaceKey: "c" } });
      expect(run(schema, { a: "1" }).result).toEqual({ a: "1", b: "1", c: "1" });
      const conditional = {
        properties: { k: { defaultVal: 1 }, z: {} },
        switch: "k",
        case: { 1: { required: ["z"] } },
      };
      expect(run(conditional, {}).valid).toBe(false);
    });

    test("functions of setVal that nobody can have used are refused", () => {
      expect(mistakesOf({ setVal: { a: { func: "md5", args: ["x"] } } })).toEqual(["setVal: knows no function 'md5'"]);
    });
  });

  test("tells every mistake with its path, in the words that clients know", () => {
    const schema = {
      type: "object",
      properties: {
        header: {
          type: "object",
          properties: { app_id: { type: "string", maxLength: 2 }, status: { type: "integer", enum: [3] } },
          required: ["app_id", "status"],
        },
        list: { type: "array", items: { type: "string" } },
      },
    };
    expect(run(schema, { header: { foo: 1, status: 1 }, list: ["a", 5] }).mistakes).toEqual([
      "'$.header.foo' unknown field",
      "'$.header.status' must be one of [3]",
      "'$.header.app_id' field is required",
      "'$.list[1]' type must be string",
    ]);
  });

  test("takes data for the base64 that it came from, and tells when it is too long", () => {
    const data = new Uint8Array([104, 105]);
    const check = (schema: unknown) => {
      const found = createMistakeList();
      compileDialect({ properties: { image: schema } }, []).check({ image: data }, "$", found);
      return found;
    };
    expect(isEmpty(check({ type: "string", minLength: 4, maxLength: 4, pattern: "^aGk=$", const: "aGk=" }))).toBe(true);
    expect(check({ type: "integer" }).texts).toEqual(["'$.image' type must be integer"]);
    expect(check({ maxLength: 3 })).toEqual({ texts: [], tooLarge: ["'$.image' length must be at most 3"] });
    expect(check({ maxB64DLen: 2 }).tooLarge).toHaveLength(1);
    expect(check({ minLength: 5 }).texts).toHaveLength(1);
  });

  test("refuses a bad schema with every mistake and its place", () => {
    expect(
      mistakesOf({
        properties: { a: { minItems: 1, type: "null" }, b: 5, c: { default: 1 }, d: { pattern: "(" } },
        items: [],
        required: ["z"],
        setVal: { "a..b": 1 },
      }),
    ).toEqual([
      "setVal: has the bad path 'a..b'",
      "items: a schema must be an object",
      "properties.a.minItems: unknown keyword",
      "properties.a.type: knows no type 'null'",
      "properties.b: a schema must be an object",
      expect.stringContaining("properties.c.default: belongs to 'switch'"),
      "properties.d.pattern: is not a pattern",
      expect.stringContaining("required: asks for 'z'"),
    ]);
    expect(mistakesOf({ minItems: 1, $defs: {} }, true)).toEqual([]);
    const deep = Array.from({ length: 100_000 }).reduce<unknown>((inner) => ({ items: inner }), {});
    expect(mistakesOf(deep)).toEqual([expect.stringContaining("nests too deep")]);
  });

  test("sets no member that would change what an object is", () => {
    for (const schema of [
      { setVal: { __proto__: 1, "a.__proto__": 1 } },
      { properties: { a: { replaceKey: "__proto__" } } },
      { properties: JSON.parse('{"__proto__":{}}') },
    ]) {
      expect(mistakesOf(schema)).not.toEqual([]);
    }
    const hostile = JSON.parse('{"__proto__":{"polluted":1},"a":{"__proto__":{"polluted":1}}}');
    const schema = { properties: { a: { additionalProperties: true, properties: {} } }, additionalProperties: true };
    expect(run(schema, hostile).result).toEqual({ a: {} });
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  test("bounds how many mistakes of one request it keeps", () => {
    const items = Array.from({ length: 200_000 }, () => 1);
    expect(run({ properties: { a: { items: { type: "string" } } } }, { a: items }).mistakes).toHaveLength(1000);
  });

  const json = fc.jsonValue({ maxDepth: 3 });

  test("never throws for a value, and changes nothing when it says that it rewrites nothing", () => {
    const names = fc.constantFrom("a", "b", "c");
    const leaf = fc.constantFrom({ type: "string" }, { minLength: 1 }, { items: { type: "integer" } }, {});
    const schemas = fc.record({
      properties: fc.dictionary(names, leaf),
      additionalProperties: fc.constantFrom(true, { type: "object" }),
      anyOf: fc.array(fc.record({ required: fc.array(names) }), { minLength: 1 }),
      not: fc.record({ keyMatch: fc.dictionary(names, fc.integer()) }),
    });
    const property = fc.property(schemas, fc.dictionary(names, json), (schema, value) => {
      const compiled = compileDialect(schema, []);
      const before = structuredClone(value);
      compiled.check(value, "$", createMistakeList());
      expect(compiled.rewrites).toBe(false);
      expect(value).toEqual(before);
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("rewrites the same value to the same value, and what it has rewritten no further", () => {
    const rewriting = fc.record(
      {
        constVal: json,
        defaultVal: json,
        replaceKey: fc.constantFrom("x", "y"),
        formatVal: fc.constantFrom("string", "number", "bool"),
      },
      { requiredKeys: [] },
    );
    const schemas = fc.record({
      properties: fc.dictionary(fc.constantFrom("a", "b", "c"), rewriting),
      additionalProperties: fc.constant(true),
    });
    const property = fc.property(schemas, fc.dictionary(fc.constantFrom("a", "b", "x"), json), (schema, value) => {
      const once = run(schema, value).result;
      expect(run(schema, value).result).toEqual(once);
      expect(run(schema, once).result).toEqual(once);
    });
    fc.assert(property, { numRuns: 300 });
  });
});
