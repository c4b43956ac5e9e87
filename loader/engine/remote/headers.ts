import { environmentVariable } from "../../../config/environment-variable.ts";
import { ServingError } from "../../../proto/errors.ts";

/** A header's value: a text, or an environment variable that holds it, with what stands before it. */
export type HeaderSource = string | { readonly variable: string; readonly prefix: string };

/**
 * The headers with the values of their environment variables.
 *
 * @throws ServingError SERVICE_NOT_READY, naming a variable that is not set or does not fit into a header; never its value.
 */
export function resolveHeaders(sources: Readonly<Record<string, HeaderSource>>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, source] of Object.entries(sources)) {
    headers[name] = typeof source === "string" ? source : headerFrom(name, source.variable, source.prefix);
  }
  return headers;
}

function headerFrom(header: string, variable: string, prefix: string): string {
  const value = environmentVariable(variable);
  const problem =
    value === undefined
      ? "is not set"
      : /^[\x20-\x7e]*$/.test(value)
        ? undefined
        : "has characters that no header may have";
  if (problem === undefined) return `${prefix}${value}`;
  throw new ServingError(
    "SERVICE_NOT_READY",
    `engine.headers.${header}: the environment variable '${variable}' ${problem}`,
  );
}
