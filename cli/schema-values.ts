import { z } from "zod";
import { CommandFailure } from "./failure.ts";

const propertySchema = z.looseObject({
  examples: z.array(z.unknown()).optional(),
  enum: z.array(z.unknown()).optional(),
});

const objectSchema = z.looseObject({
  properties: z.record(z.string(), z.unknown()).default({}),
  required: z.array(z.string()).default([]),
});

/**
 * A value for each property of a JSON Schema of an object, given as text: its first example, its default, the only value that
 * it may have, or else the first of those that it may have where it is required. "known": of every property that has one;
 * "required": of those alone that must be there.
 *
 * @throws CommandFailure for a property that is required and tells no value, and for a text that is no such schema; `name` is
 * what it is for.
 */
export function valuesFromSchema(text: string, name: string, which: "known" | "required"): Record<string, unknown> {
  if (text === "") return {};
  const schema = objectSchema.safeParse(wholeSchema(parseJson(text)));
  if (!schema.success) throw new CommandFailure(`${name}: the service tells a JSON Schema that is none`);
  const { properties, required } = schema.data;
  const values: Record<string, unknown> = {};
  for (const [key, property] of Object.entries(properties)) {
    const isRequired = required.includes(key);
    if (which === "required" && !isRequired) continue;
    const value = valueFrom(property, isRequired);
    if (value !== undefined) values[key] = value;
    else if (isRequired)
      throw new CommandFailure(`${name}: '${key}' is required and has neither an example nor a default`);
  }
  return values;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A definition may hold a schema of an object, or just the schemas of its properties. */
function wholeSchema(parsed: unknown): unknown {
  const isWhole = typeof parsed !== "object" || parsed === null || typeof Reflect.get(parsed, "type") === "string";
  return isWhole ? parsed : { properties: parsed };
}

function valueFrom(schema: unknown, isRequired: boolean): unknown {
  const parsed = propertySchema.safeParse(schema);
  if (!parsed.success) return undefined;
  const { examples, default: fallback, const: only, enum: allowed } = parsed.data;
  return examples?.[0] ?? fallback ?? only ?? (isRequired ? allowed?.[0] : undefined);
}
