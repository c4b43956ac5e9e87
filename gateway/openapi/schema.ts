import { isRecord, type JsonSchema } from "../schema/dialect.ts";

/** Keywords of the predecessor's dialect that say nothing to a reader of JSON Schema. */
const dialectKeywords: ReadonlySet<string> = new Set([
  "constVal",
  "replaceKey",
  "formatVal",
  "setVal",
  "delete",
  "switch",
  "case",
  "keyMatch",
  "children",
  "error",
  "minB64DLen",
  "maxB64DLen",
  "comment",
]);

/**
 * A schema as it stands in a document at `pointer`: keywords of the predecessor's dialect are left out or named as JSON
 * Schema has them, and references into the schema lead to where it stands.
 */
export function placeSchema(schema: JsonSchema, pointer: string): JsonSchema {
  return typeof schema === "boolean" ? schema : placeObject(schema, pointer);
}

const renamed: ReadonlyMap<string, string> = new Map([
  ["defaultVal", "default"],
  ["dependencies", "dependentRequired"],
]);
/** Keywords whose values are no schemas, and stay as they are. */
const plain: ReadonlySet<string> = new Set(["enum", "const", "default", "defaultVal", "examples", "required"]);
/** Keywords whose values are schemas by names, which may be called like keywords. */
const byName: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
]);

function placeObject(schema: Readonly<Record<string, unknown>>, pointer: string): Record<string, unknown> {
  const placed: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(schema)) {
    // Beside `switch` the keyword `default` is a schema, and no value.
    if (dialectKeywords.has(name) || (name === "default" && "switch" in schema)) continue;
    placed[renamed.get(name) ?? name] = placeKeyword(name, value, pointer);
  }
  return placed;
}

function placeKeyword(name: string, value: unknown, pointer: string): unknown {
  if (name === "$ref") return typeof value === "string" && value.startsWith("#") ? pointer + value.slice(1) : value;
  if (plain.has(name)) return value;
  if (!byName.has(name) || !isRecord(value)) return placeValue(value, pointer);
  return Object.fromEntries(Object.entries(value).map(([key, schema]) => [key, placeValue(schema, pointer)]));
}

function placeValue(value: unknown, pointer: string): unknown {
  if (Array.isArray(value)) return value.map((item) => placeValue(item, pointer));
  return isRecord(value) ? placeObject(value, pointer) : value;
}

/** A reference to a named schema of the document. */
export function schemaRef(name: string): { readonly $ref: string } {
  return { $ref: `#/components/schemas/${name}` };
}

/** A name or path as one step of a JSON pointer within a URI. */
export function pointerStep(name: string): string {
  return encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));
}
