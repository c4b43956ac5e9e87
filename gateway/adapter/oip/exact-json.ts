import { ServingError } from "../../../proto/errors.ts";
import { isDeeperThan } from "../../envelope/json-depth.ts";
import { positionOfMistake } from "../../envelope/json-position.ts";

/** More than any tensor has dimensions, with what stands around it. */
const maxDepth = 64;

/** A whole number of so many digits that a double may not hold it. */
const longInteger = /(?<![\d.eE+-])-?[1-9]\d{15,19}(?![\d.eE])/;
/** The same, with strings to be passed over. Only for valid JSON: a string without an end would be looked for again and again. */
const longIntegersAndStrings = new RegExp(`"(?:[^"\\\\]|\\\\.)*"|${longInteger.source}`, "g");

/** No text of a caller begins with it. */
const mark = `${crypto.randomUUID()}:`;

/**
 * Parses JSON without losing digits: a whole number of at most 20 digits that a double does not hold exactly is a bigint,
 * every other number a number. The parser's own way to the digits, a reviver, takes 0.7 µs for each value of the text,
 * seconds for a large body; here such integers are made strings first, and only strings are looked at afterwards.
 *
 * @throws ServingError MALFORMED_ENVELOPE, saying where.
 */
export function parseExactJson(text: string): unknown {
  if (isDeeperThan(maxDepth, text)) throw malformed(`the JSON nests deeper than ${maxDepth} levels`);
  const value = parse(text);
  if (!longInteger.test(text)) return value;
  const marked = text.replace(longIntegersAndStrings, (token) => (token.startsWith('"') ? token : `"${mark}${token}"`));
  return withIntegers(JSON.parse(marked));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (text.trim() === "") throw malformed("the request has no JSON", cause);
    const { line, column } = positionOfMistake(text);
    // What Python's encoder writes for them.
    const hint = /[[,:\s]-?(?:NaN|Infinity)\s*[\],}]/.test(text) ? "; NaN and Infinity travel as binary data only" : "";
    throw malformed(`the request is not valid JSON: line ${line}, column ${column}${hint}`, cause);
  }
}

/** Puts the integers back in their places. */
function withIntegers(value: unknown): unknown {
  if (typeof value === "string") return value.startsWith(mark) ? integerFrom(value.slice(mark.length)) : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = withIntegers(value[index]);
    return value;
  }
  for (const [key, item] of Object.entries(value)) {
    Object.defineProperty(value, key, {
      value: withIntegers(item),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return value;
}

function integerFrom(digits: string): number | bigint {
  const number = Number(digits);
  return Number.isSafeInteger(number) ? number : BigInt(digits);
}

function malformed(message: string, cause?: unknown): ServingError {
  return new ServingError("MALFORMED_ENVELOPE", message, cause === undefined ? {} : { cause });
}
