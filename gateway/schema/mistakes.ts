import type { ErrorObject } from "ajv/dist/2020.js";
import { type Reason, ServingError } from "../../proto/errors.ts";

/** How many mistakes of one request are told, and in how many characters: more help nobody. */
const maxMistakes = 20;
const maxMessageLength = 2000;

/** The longest name that the caller chose, and the longest list or pattern from a definition, in a message. */
const maxNameLength = 64;
const maxDetailLength = 200;

/** Notes every mistake that a check found, with its path under `base`. */
export function noteSchemaErrors(mistakes: string[], base: string, errors: readonly ErrorObject[]): void {
  for (const error of errors) mistakes.push(mistakeFromSchemaError(base, error));
}

/** A name that the caller chose, short enough for a message. */
export function shown(name: string): string {
  return name.length > maxNameLength ? `${name.slice(0, maxNameLength)}…` : name;
}

/** What the messages of the unified protocol begin with: the predecessor's words, which its clients look for. */
const predecessorsWords = "parameter schema validate error: ";

/** The error for a request with these mistakes. */
export function errorFromMistakes(
  reason: Reason,
  mistakes: readonly string[],
  firstWords: string = predecessorsWords,
): ServingError {
  let message = firstWords;
  // One key may break several rules in the same words.
  const distinct = new Set(mistakes);
  let told = 0;
  for (const mistake of distinct) {
    if (told === maxMistakes || message.length + mistake.length + 2 > maxMessageLength) break;
    message += `${mistake}; `;
    told++;
  }
  return new ServingError(reason, told < distinct.size ? `${message}and ${distinct.size - told} more; ` : message);
}

function mistakeFromSchemaError(base: string, error: ErrorObject): string {
  const path = base + dottedPath(error.instancePath);
  const { missingProperty, additionalProperty, unevaluatedProperty, type, allowedValues } = error.params;
  switch (error.keyword) {
    case "required":
      return `'${path}.${shown(String(missingProperty))}' field is required`;
    case "additionalProperties":
      return `'${path}.${shown(String(additionalProperty))}' unknown field`;
    case "unevaluatedProperties":
      return `'${path}.${shown(String(unevaluatedProperty))}' unknown field`;
    case "type":
      return `'${path}' type must be ${withoutNull(type).join(" or ")}`;
    case "enum":
      return `'${path}' must be one of [${bounded(withoutNull(allowedValues).map(textOfAllowed).join(", "))}]`;
    default:
      return `'${path}' ${bounded(error.message ?? "is not allowed")}`;
  }
}

/** `/a/0/b` as `.a[0].b`. */
function dottedPath(pointer: string): string {
  if (pointer === "") return "";
  const names = pointer.slice(1).split("/");
  return names.map((name) => (/^\d+$/.test(name) ? `[${name}]` : `.${shown(unescaped(name))}`)).join("");
}

function unescaped(name: string): string {
  return name.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** Null is allowed everywhere: to name it would only confuse. */
function withoutNull(values: unknown): unknown[] {
  return (Array.isArray(values) ? values : [values]).filter((value) => value !== null && value !== "null");
}

function textOfAllowed(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function bounded(detail: string): string {
  return detail.length > maxDetailLength ? `${detail.slice(0, maxDetailLength)}…` : detail;
}
