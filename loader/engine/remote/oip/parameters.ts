import { typedParameters } from "../parameters.ts";
import type { ParameterSchemas } from "../protocol.ts";

/**
 * A request's parameters as the Open Inference Protocol takes them: texts, numbers and booleans, by the types that
 * service.yaml declares; a list or an object goes as its text.
 *
 * @throws ServingError INVALID_INPUT, naming the parameter whose text is not of its type.
 */
export function oipParameters(
  parameters: Readonly<Record<string, string>>,
  schemas: ParameterSchemas,
): Record<string, string | number | boolean> {
  const plain: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(typedParameters(parameters, schemas))) {
    plain[name] = typeof value === "object" ? (parameters[name] ?? "") : value;
  }
  return plain;
}
