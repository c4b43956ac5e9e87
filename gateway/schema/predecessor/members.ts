import { isRecord } from "../dialect.ts";
import type { CompileContext, DialectSchema } from "./check.ts";
import { compileMemberRewrites } from "./member-rewrites.ts";
import { note } from "./mistake-list.ts";
import { compileSetValues, type Rewrite } from "./set-values.ts";
import { isObject } from "./value.ts";
import { scalarText } from "./value-tests.ts";

/**
 * `properties` with `additionalProperties`: the members that are there are checked, others refused unless something is
 * said of them, and then the object is rewritten.
 */
export function compileProperties(context: CompileContext): DialectSchema {
  const { schema, compile } = context;
  const declared = recordOf(schema.properties);
  const known = compileMembers(declared, "properties", compile);
  const others = additionalFrom(context);
  const rewrite = compileMemberRewrites(declared);
  return {
    rewrites: rewrite !== undefined || others?.rewrites === true || [...known.values()].some((part) => part.rewrites),
    check(value, path, mistakes) {
      if (!isObject(value)) return;
      for (const name in value) {
        const part = known.get(name) ?? others;
        if (part === undefined) note(mistakes, `${path}.${shown(name)}`, "unknown field");
        else part.check(value[name], `${path}.${shown(name)}`, mistakes);
      }
      rewrite?.(value);
    },
  };
}

/** What the members that are not declared must be; undefined where there must be none. */
function additionalFrom({ schema, compile }: CompileContext): DialectSchema | undefined {
  const { additionalProperties } = schema;
  if (additionalProperties === undefined || additionalProperties === false) return undefined;
  return compile(additionalProperties === true ? {} : additionalProperties, "additionalProperties");
}

/** `children`: as `properties`, but other members are none of its business and nothing is rewritten. */
export function compileChildren({ schema, compile }: CompileContext): DialectSchema {
  const known = compileMembers(recordOf(schema.children), "children", compile);
  return {
    rewrites: [...known.values()].some((part) => part.rewrites),
    check(value, path, mistakes) {
      if (!isObject(value)) return;
      for (const [name, part] of known) {
        if (Object.hasOwn(value, name)) part.check(value[name], `${path}.${name}`, mistakes);
      }
    },
  };
}

/** `items`: one schema for every item of a list. */
export function compileItems({ schema, compile }: CompileContext): DialectSchema {
  const item = compile(schema.items, "items");
  return {
    rewrites: item.rewrites,
    check(value, path, mistakes) {
      if (!Array.isArray(value)) return;
      for (const [index, entry] of value.entries()) item.check(entry, `${path}[${index}]`, mistakes);
    },
  };
}

/** `required` asks for presence alone: null is present. */
export function compileRequired({ schema }: CompileContext): DialectSchema {
  const names = namesOf(schema.required);
  const { properties, additionalProperties = false } = schema;
  const unknown = names.find((name) => isRecord(properties) && !Object.hasOwn(properties, name));
  if (unknown !== undefined && additionalProperties === false) {
    throw new Error(`asks for '${unknown}', which 'properties' does not declare, so that it would be refused`);
  }
  return onObjects((object, path, mistakes) => {
    for (const name of names) if (!Object.hasOwn(object, name)) note(mistakes, `${path}.${name}`, "field is required");
  });
}

/** `dependencies`: members that must be there when another one is. */
export function compileDependencies({ schema }: CompileContext): DialectSchema {
  const needs = Object.entries(recordOf(schema.dependencies)).map(([name, list]) => ({ name, needed: namesOf(list) }));
  return onObjects((object, path, mistakes) => {
    for (const { name, needed } of needs) {
      if (!Object.hasOwn(object, name)) continue;
      for (const other of needed) {
        if (!Object.hasOwn(object, other)) note(mistakes, `${path}.${other}`, `is required beside '${name}'`);
      }
    }
  });
}

/** `keyMatch`: members that must be exactly this; one that is missing counts as null. */
export function compileKeyMatch({ schema }: CompileContext): DialectSchema {
  const wanted = Object.entries(recordOf(schema.keyMatch));
  return onObjects((object, path, mistakes) => {
    for (const [name, value] of wanted) {
      const given = Object.hasOwn(object, name) ? object[name] : null;
      if (given !== value) note(mistakes, `${path}.${name}`, `must be ${scalarText(value).slice(0, 200)}`);
    }
  });
}

/** `setVal`, see {@link compileSetValues}. */
export function compileSetVal({ schema }: CompileContext): DialectSchema {
  return rewriting(compileSetValues(schema.setVal));
}

/** `delete`: members that are taken out. */
export function compileDelete({ schema }: CompileContext): DialectSchema {
  const names = namesOf(schema.delete);
  return rewriting((object) => {
    for (const name of names) delete object[name];
  });
}

function rewriting(rewrite: Rewrite): DialectSchema {
  return {
    rewrites: true,
    check(value) {
      if (isObject(value)) rewrite(value);
    },
  };
}

function onObjects(check: (object: Readonly<Record<string, unknown>>, ...rest: CheckRest) => void): DialectSchema {
  return {
    rewrites: false,
    check(value, path, mistakes) {
      if (isObject(value)) check(value, path, mistakes);
    },
  };
}

type CheckRest = [path: Parameters<DialectSchema["check"]>[1], mistakes: Parameters<DialectSchema["check"]>[2]];

function compileMembers(
  declared: Readonly<Record<string, unknown>>,
  keyword: string,
  compile: CompileContext["compile"],
): ReadonlyMap<string, DialectSchema> {
  if (Object.hasOwn(declared, "__proto__")) throw new Error("has the bad name '__proto__'");
  return new Map(Object.entries(declared).map(([name, part]) => [name, compile(part, keyword, name)]));
}

function recordOf(operand: unknown): Readonly<Record<string, unknown>> {
  if (!isRecord(operand)) throw new Error("must be an object");
  return operand;
}

function namesOf(operand: unknown): readonly string[] {
  if (!Array.isArray(operand) || !operand.every((name) => typeof name === "string")) {
    throw new Error("must be a list of names");
  }
  return operand;
}

/** A name that the caller chose, short enough for a message. */
function shown(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name;
}
