import { isRecord } from "../schema/dialect.ts";
import { sampleText } from "./sample-text.ts";

/** Which members of objects a sample has. */
export type Extent = "required" | "all";

const maxDepth = 16;

/**
 * A value for a JSON Schema: what it says itself (const, default, examples, enum), or the least that its type, bounds and
 * required members ask for. Not always one that the schema lets through: whoever uses a sample checks it.
 */
export function sampleFrom(schema: unknown, extent: Extent): unknown {
  return sample(schema, extent, schema, 0);
}

function sample(schema: unknown, extent: Extent, root: unknown, depth: number): unknown {
  if (!isRecord(schema) || depth > maxDepth) return "text";
  if (typeof schema.$ref === "string") return sample(resolve(root, schema.$ref), extent, root, depth + 1);
  const stated = statedValue(schema);
  if (stated !== undefined) return stated;
  const { allOf, anyOf, oneOf } = schema;
  const parts = [
    ...(Array.isArray(allOf) ? allOf : []),
    ...(Array.isArray(anyOf) ? anyOf.slice(0, 1) : []),
    ...(Array.isArray(oneOf) ? oneOf.slice(0, 1) : []),
  ].map((part) => sample(part, extent, root, depth + 1));
  const type = typeOf(schema);
  if (type === undefined && parts.length > 0) return merged(parts);
  if (type !== "object") return scalarOrList(schema, type, extent, root, depth);
  return merged([...parts.filter(isRecord), objectFrom(schema, extent, root, depth)]);
}

function statedValue(schema: Readonly<Record<string, unknown>>): unknown {
  if ("const" in schema) return schema.const;
  if ("default" in schema) return schema.default;
  const { examples, enum: allowed } = schema;
  if (Array.isArray(examples) && examples.length > 0) return examples[0];
  return Array.isArray(allowed) ? allowed.find((value) => value !== null) : undefined;
}

function typeOf(schema: Readonly<Record<string, unknown>>): unknown {
  const types = [schema.type].flat().filter((type) => type !== "null");
  return types[0] ?? (isRecord(schema.properties) || Array.isArray(schema.required) ? "object" : undefined);
}

function merged(parts: readonly unknown[]): unknown {
  return parts.every(isRecord) ? Object.assign({}, ...parts) : parts[0];
}

function objectFrom(
  schema: Readonly<Record<string, unknown>>,
  extent: Extent,
  root: unknown,
  depth: number,
): Record<string, unknown> {
  const properties = isRecord(schema.properties) ? schema.properties : {};
  const required: readonly unknown[] = Array.isArray(schema.required) ? schema.required : [];
  const names = extent === "all" ? Object.keys(properties) : required.filter((name) => typeof name === "string");
  const object: Record<string, unknown> = {};
  for (const name of names) {
    if (name !== "__proto__") object[name] = sample(properties[name], extent, root, depth + 1);
  }
  return object;
}

function scalarOrList(
  schema: Readonly<Record<string, unknown>>,
  type: unknown,
  extent: Extent,
  root: unknown,
  depth: number,
): unknown {
  switch (type) {
    case "integer":
    case "number":
      return numberFrom(schema, type === "integer");
    case "boolean":
      return true;
    case "array": {
      const item = sample(schema.items, extent, root, depth + 1);
      return Array.from({ length: Math.min(numberOr(schema.minItems, 0), 16) }, () => item);
    }
    default:
      return sampleText(schema);
  }
}

function numberFrom(schema: Readonly<Record<string, unknown>>, isInteger: boolean): number {
  const { minimum, exclusiveMinimum, maximum, multipleOf } = schema;
  const step = numberOr(multipleOf, isInteger ? 1 : 0);
  const least = Math.max(
    numberOr(minimum, Number.NEGATIVE_INFINITY),
    numberOr(exclusiveMinimum, Number.NEGATIVE_INFINITY),
  );
  const start = Number.isFinite(least) ? least : Math.min(1, numberOr(maximum, 1));
  const onStep = step > 0 ? Math.ceil(start / step) * step : start;
  return onStep === exclusiveMinimum ? onStep + (step > 0 ? step : 0.5) : onStep;
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === "number" ? value : otherwise;
}

/** What a reference into the schema leads to. */
function resolve(root: unknown, ref: string): unknown {
  let current: unknown = root;
  for (const step of ref.split("/").slice(1)) {
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    current = isRecord(current) && Object.hasOwn(current, name) ? current[name] : undefined;
  }
  return current;
}
