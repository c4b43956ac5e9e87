/** A JSON Schema: an object of keywords, or true or false. */
export type JsonSchema = boolean | Readonly<Record<string, unknown>>;

/** How deep a definition's schema may nest; deeper ones would overflow the compiler's stack. */
const maxSchemaDepth = 64;

/** What a schema's place says about it. */
interface Place {
  /** Null passes `type` and `enum` here. */
  readonly nullable: boolean;
  /** Unknown keys are refused here where keys are declared. */
  readonly closed: boolean;
}

const ordinary: Place = { nullable: true, closed: true };
/** One of several schemas that hold for the same value at once: another one declares the other keys. */
const addition: Place = { nullable: true, closed: false };
/** One of the schemas of which exactly one may hold: null must not pass them all. */
const exclusive: Place = { nullable: false, closed: true };

const places: ReadonlyMap<string, Place> = new Map([
  ["properties", ordinary],
  ["patternProperties", ordinary],
  ["$defs", ordinary],
  ["definitions", ordinary],
  ["items", ordinary],
  ["prefixItems", ordinary],
  ["additionalProperties", ordinary],
  ["anyOf", ordinary],
  ["oneOf", exclusive],
  ["allOf", addition],
  ["then", addition],
  ["else", addition],
  ["dependentSchemas", addition],
]);
const mapsOfSchemas: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
]);
const listsOfSchemas: ReadonlySet<string> = new Set(["prefixItems", "anyOf", "oneOf", "allOf"]);

/**
 * Turns a schema as services write it into the 2020-12 schema with the same meaning. The predecessor's dialect differs
 * in that null passes `type` and `enum`, that an object with declared properties refuses other keys unless
 * `additionalProperties` speaks, and in spelling (`enums`, `bool`, `"string|integer"`, a list under `items`). Keywords
 * of either that the other does not know are left alone and have no effect.
 *
 * @throws Error for a value that is no schema, or is nested too deep.
 */
export function schemaFromDialect(schema: unknown): JsonSchema {
  return convert(schema, ordinary, 0);
}

function convert(schema: unknown, place: Place, depth: number): JsonSchema {
  if (typeof schema === "boolean") return schema;
  if (!isRecord(schema)) throw new Error("a schema must be an object, true or false");
  if (depth > maxSchemaDepth) throw new Error(`a schema must not nest deeper than ${maxSchemaDepth} levels`);
  const converted: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(schema)) {
    // Identities and the choice of a dialect concern documents that refer to each other: a definition stands alone.
    if (name === "$schema" || name === "$id" || name === "id" || name === "__proto__") continue;
    const keyword = standardName(name, value);
    converted[keyword] = convertKeyword(keyword, value, placeWithin(keyword, place, schema), depth + 1);
  }
  forgetFilledIn(schema, converted);
  if (place.nullable) acceptNull(converted);
  if (place.closed) refuseUnknownKeys(converted);
  return converted;
}

function standardName(name: string, value: unknown): string {
  if (name === "enums") return "enum";
  return name === "items" && Array.isArray(value) ? "prefixItems" : name;
}

/** Alternatives refuse unknown keys themselves only where the schema around them declares none. */
function placeWithin(keyword: string, place: Place, schema: object): Place | undefined {
  const within = places.get(keyword);
  if (within === undefined || (keyword !== "anyOf" && keyword !== "oneOf")) return within;
  return { nullable: within.nullable && place.nullable, closed: place.closed && !("properties" in schema) };
}

function convertKeyword(keyword: string, value: unknown, place: Place | undefined, depth: number): unknown {
  if (keyword === "type") return standardTypes(value);
  if (place === undefined) return value;
  if (listsOfSchemas.has(keyword) && Array.isArray(value)) return value.map((item) => convert(item, place, depth));
  if (!mapsOfSchemas.has(keyword)) return convert(value, place, depth);
  if (!isRecord(value)) throw new Error(`'${keyword}' must be an object of schemas`);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, convert(item, place, depth)]));
}

function standardTypes(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const types = value.split("|").map((name) => (name === "bool" ? "boolean" : name));
  return types.length === 1 ? types[0] : types;
}

/** A member that is missing and gets a value before engines see it is not missing. */
function forgetFilledIn(schema: Readonly<Record<string, unknown>>, converted: Record<string, unknown>): void {
  const { properties } = schema;
  if (!Array.isArray(converted.required) || !isRecord(properties)) return;
  converted.required = converted.required.filter((name) => {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    return !isRecord(property) || !("defaultVal" in property || "constVal" in property);
  });
}

function acceptNull(schema: Record<string, unknown>): void {
  const { type, enum: allowed } = schema;
  if (typeof type === "string" && type !== "null") schema.type = [type, "null"];
  else if (Array.isArray(type) && !type.includes("null")) schema.type = [...type, "null"];
  if (Array.isArray(allowed) && !allowed.includes(null)) schema.enum = [...allowed, null];
}

/**
 * Declares, for the whole object, the keys that schemas combined with this one declare, and refuses all others. Not with
 * `unevaluatedProperties`: ajv 8.20 forgets what `allOf` evaluated when an `if` beside it does not hold.
 */
function refuseUnknownKeys(schema: Record<string, unknown>): void {
  if (!isRecord(schema.properties) || "unevaluatedProperties" in schema || leavesOthersOpen(schema)) return;
  const known = Object.fromEntries(namesWithin(schema).map((name) => [name, true]));
  schema.properties = { ...known, ...schema.properties };
  schema.additionalProperties = false;
}

/** What the schemas that hold for the same object as this one does are; references stand for themselves. */
function combinedWith(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>[] {
  const { allOf, anyOf, oneOf, if: condition, then: consequence, else: alternative, dependentSchemas } = schema;
  const maps = isRecord(dependentSchemas) ? Object.values(dependentSchemas) : [];
  return [allOf, anyOf, oneOf, condition, consequence, alternative, maps].flat().filter(isRecord);
}

/** Where this schema or one combined with it speaks about other keys, or is a reference, they are not ours to refuse. */
function leavesOthersOpen(schema: Readonly<Record<string, unknown>>): boolean {
  if ("additionalProperties" in schema || "$ref" in schema) return true;
  return combinedWith(schema).some((other) => "patternProperties" in other || leavesOthersOpen(other));
}

function namesWithin(schema: Readonly<Record<string, unknown>>): string[] {
  const own = isRecord(schema.properties) ? Object.keys(schema.properties) : [];
  return [...own, ...combinedWith(schema).flatMap(namesWithin)];
}

/** Tells whether a parsed JSON value is an object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
