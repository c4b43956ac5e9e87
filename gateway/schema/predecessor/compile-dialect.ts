import { isRecord } from "../dialect.ts";
import { type CompileContext, type DialectSchema, type KeywordCompiler, nothing } from "./check.ts";
import { compileAllOf, compileAnyOf, compileIf, compileNot, compileSwitch, inTurn } from "./combinations.ts";
import { memberKeywords } from "./member-rewrites.ts";
import {
  compileChildren,
  compileDelete,
  compileDependencies,
  compileItems,
  compileKeyMatch,
  compileProperties,
  compileRequired,
  compileSetVal,
} from "./members.ts";
import { note } from "./mistake-list.ts";
import { sizeKeywords, type ValueTest, valueTests } from "./value-tests.ts";

/** A mistake in a schema: where, and what. */
export interface SchemaMistake {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** How deep a schema may nest; deeper ones would overflow the stack. */
const maxSchemaDepth = 128;

/** In the order in which a value meets them. */
const compilers: ReadonlyMap<string, KeywordCompiler> = new Map<string, KeywordCompiler>([
  ["setVal", compileSetVal],
  ["delete", compileDelete],
  ...[...valueTests].map(([keyword, makeTest]): [string, KeywordCompiler] => [
    keyword,
    ({ schema }) => testing(makeTest(schema[keyword]), sizeKeywords.has(keyword)),
  ]),
  ["keyMatch", compileKeyMatch],
  ["dependencies", compileDependencies],
  ["allOf", compileAllOf],
  ["anyOf", compileAnyOf("anyOf")],
  ["oneOf", compileAnyOf("oneOf")],
  ["not", compileNot],
  ["children", compileChildren],
  ["items", compileItems],
  ["properties", compileProperties],
  ["if", compileIf],
  ["switch", compileSwitch],
  ["required", compileRequired],
]);

/** Keywords that belong to others of their schema, and those that say nothing about values. */
const companions: ReadonlySet<string> = new Set([
  ...["then", "else", "case", "default", "additionalProperties", ...memberKeywords],
  ...["title", "comment", "description", "$schema", "$comment", "examples"],
]);

/**
 * Compiles a schema of the predecessor's dialect, which looks like JSON Schema and is another language: null passes types
 * and lists of values, an object with `properties` refuses other members, texts are measured in bytes, and values are
 * rewritten while they are checked. An object is rewritten by `setVal` and `delete`, then checked, then rewritten by what
 * the schemas of its properties say; `if`, `switch` and `required` see what it is then.
 *
 * Every mistake of the schema goes into `mistakes`; the place where it stands checks nothing. With `ignoreUnknown`
 * keywords that the dialect does not have are no mistakes.
 */
export function compileDialect(
  schema: unknown,
  mistakes: SchemaMistake[],
  options: { readonly ignoreUnknown?: boolean } = {},
): DialectSchema {
  const compileAt = (part: unknown, path: readonly (string | number)[]): DialectSchema => {
    const refuse = (message: string, ...names: readonly string[]): void => {
      mistakes.push({ path: [...path, ...names], message });
    };
    if (!isRecord(part)) refuse("a schema must be an object");
    else if (path.length > maxSchemaDepth) refuse("the schema nests too deep");
    else {
      if (options.ignoreUnknown !== true) refuseUnknown(part, refuse);
      const compile: CompileContext["compile"] = (inner, ...names) => compileAt(inner, [...path, ...names]);
      return inTurn(keywordsOf(part, compile, refuse));
    }
    return nothing;
  };
  return compileAt(schema, []);
}

type Refuse = (message: string, keyword: string) => void;

function refuseUnknown(schema: CompileContext["schema"], refuse: Refuse): void {
  for (const name of Object.keys(schema)) {
    if (!compilers.has(name) && !companions.has(name)) refuse("unknown keyword", name);
  }
  if ("default" in schema && !isRecord(schema.default)) {
    refuse(
      "belongs to 'switch' and must be a schema; what a missing member becomes is said by 'defaultVal'",
      "default",
    );
  }
}

function keywordsOf(
  schema: CompileContext["schema"],
  compile: CompileContext["compile"],
  refuse: Refuse,
): readonly DialectSchema[] {
  const parts: DialectSchema[] = [];
  for (const [keyword, compileKeyword] of compilers) {
    if (!Object.hasOwn(schema, keyword)) continue;
    try {
      parts.push(compileKeyword({ schema, compile }));
    } catch (error) {
      refuse(error instanceof Error ? error.message : String(error), keyword);
    }
  }
  return parts;
}

function testing(test: ValueTest, isSize: boolean): DialectSchema {
  return {
    rewrites: false,
    check(value, path, mistakes) {
      const words = test(value);
      if (words !== undefined) note(mistakes, path, words, isSize && value instanceof Uint8Array);
    },
  };
}
