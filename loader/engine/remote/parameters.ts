import { ServingError } from "../../../proto/errors.ts";
import type { ParameterSchemas } from "./protocol.ts";

/** A parameter's value as JSON has it. */
export type ParameterValue = string | number | boolean | readonly unknown[] | Readonly<Record<string, unknown>>;

/**
 * The parameters with the types that their schemas give them: requests carry texts. One whose schema names no type, or that
 * has none, stays a text. A list is JSON, or texts that are joined by ";", as gateways write lists.
 *
 * @throws ServingError INVALID_INPUT, naming the parameter whose text is not of its type.
 */
export function typedParameters(
  parameters: Readonly<Record<string, string>>,
  schemas: ParameterSchemas,
): Record<string, ParameterValue> {
  const typed: Record<string, ParameterValue> = {};
  for (const [name, text] of Object.entries(parameters)) {
    const type = Object.hasOwn(schemas, name) ? schemas[name]?.type : undefined;
    const value = typedValue(text, type);
    if (value === undefined) {
      throw new ServingError("INVALID_INPUT", `parameter.${name}: must be of type ${type}, got '${text.slice(0, 64)}'`);
    }
    typed[name] = value;
  }
  return typed;
}

function typedValue(text: string, type: unknown): ParameterValue | undefined {
  switch (type) {
    case "boolean":
      return ["true", "false"].includes(text) ? text === "true" : undefined;
    case "integer":
    case "number":
      return numberFrom(text, type);
    case "array": {
      const value = parseJson(text);
      return Array.isArray(value) ? value : text.split(";");
    }
    case "object": {
      const value = parseJson(text);
      return isObject(value) ? value : undefined;
    }
    default:
      return text;
  }
}

function numberFrom(text: string, type: "integer" | "number"): number | undefined {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  const isOfType = type === "integer" ? Number.isInteger(value) : Number.isFinite(value);
  return isOfType ? value : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
