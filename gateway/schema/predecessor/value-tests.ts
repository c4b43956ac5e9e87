import { fullFormats } from "ajv-formats/dist/formats.js";
import { textFromValue } from "../text-from-value.ts";
import { isObject, lengthOf, textOf } from "./value.ts";

/** What is wrong with a value, as the words that follow its path; undefined when nothing is. */
export type ValueTest = (value: unknown) => string | undefined;

/** Makes the test of one keyword. Throws an Error with the words that follow the keyword when its operand is no good. */
type TestMaker = (operand: unknown) => ValueTest;

/** The keywords that look at a value alone. */
export const valueTests: ReadonlyMap<string, TestMaker> = new Map<string, TestMaker>([
  ["type", typeTest],
  ["enum", enumTest],
  ["enums", enumTest],
  ["const", constTest],
  ["minimum", (operand) => numberTest(operand, (value, bound) => value >= bound, "must be >=")],
  ["maximum", (operand) => numberTest(operand, (value, bound) => value <= bound, "must be <=")],
  ["multipleOf", multipleTest],
  ["minLength", (operand) => lengthTest(operand, lengthOf, "length must be at least")],
  ["maxLength", (operand) => lengthTest(operand, lengthOf, "length must be at most")],
  ["minB64DLen", (operand) => lengthTest(operand, decodedLengthOf, "length must be at least")],
  ["maxB64DLen", (operand) => lengthTest(operand, decodedLengthOf, "length must be at most")],
  ["minProperties", (operand) => lengthTest(operand, countOf, "must have at least")],
  ["pattern", patternTest],
  ["format", formatTest],
  ["error", errorTest],
]);

/** The keywords that data breaks by being too long. */
export const sizeKeywords: ReadonlySet<string> = new Set(["maxLength", "maxB64DLen"]);

const typeTests: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string" || value instanceof Uint8Array,
  number: (value) => typeof value === "number",
  integer: (value) => Number.isInteger(value),
  bool: (value) => typeof value === "boolean",
  boolean: (value) => typeof value === "boolean",
  object: isObject,
  array: Array.isArray,
};

/** Null is of every type. */
function typeTest(operand: unknown): ValueTest {
  if (typeof operand !== "string") throw new Error("must be the name of a type, or names with '|' between them");
  const names = operand.split("|");
  const tests = names.map((name) => {
    const test = Object.hasOwn(typeTests, name) ? typeTests[name] : undefined;
    if (test === undefined) throw new Error(`knows no type '${name}'`);
    return test;
  });
  const mistake = `type must be ${names.join(" or ")}`;
  const [only] = tests;
  if (tests.length === 1 && only !== undefined) {
    return (value) => (value === null || only(value) ? undefined : mistake);
  }
  return (value) => (value === null || tests.some((test) => test(value)) ? undefined : mistake);
}

/** Values are compared as texts, so that 1 is among ["1"], and null is among all. */
function enumTest(operand: unknown): ValueTest {
  if (!Array.isArray(operand)) throw new Error("must be a list");
  const allowed = new Set(operand.map(scalarText));
  const mistake = `must be one of [${[...allowed].join(", ").slice(0, maxDetailLength)}]`;
  return (value) => (value === null || (!isComposed(value) && allowed.has(scalarText(value))) ? undefined : mistake);
}

function isComposed(value: unknown): boolean {
  return Array.isArray(value) || isObject(value);
}

function constTest(operand: unknown): ValueTest {
  const constant = scalarText(operand);
  const mistake = `must be ${constant.slice(0, maxDetailLength)}`;
  return (value) => (scalarText(value) === constant ? undefined : mistake);
}

const maxDetailLength = 200;

/** A value as the text by which the predecessor compares it. */
export function scalarText(value: unknown): string {
  return textOf(value) ?? textFromValue(value);
}

function numberTest(operand: unknown, holds: (value: number, bound: number) => boolean, words: string): ValueTest {
  const bound = numberFrom(operand);
  return (value) => (typeof value !== "number" || holds(value, bound) ? undefined : `${words} ${bound}`);
}

function multipleTest(operand: unknown): ValueTest {
  const divisor = numberFrom(operand);
  if (divisor <= 0) throw new Error("must be above 0");
  const mistake = `must be a multiple of ${divisor}`;
  return (value) => (typeof value !== "number" || Number.isInteger(value / divisor) ? undefined : mistake);
}

function lengthTest(
  operand: unknown,
  measure: (value: unknown) => number | undefined,
  words: "length must be at least" | "length must be at most" | "must have at least",
): ValueTest {
  const bound = Math.trunc(numberFrom(operand));
  const isMost = words === "length must be at most";
  const mistake = `${words} ${bound}${measure === countOf ? " members" : ""}`;
  return (value) => {
    // A character has at most three bytes: most texts need not be measured.
    if (isMost && typeof value === "string" && value.length * 3 <= bound) return undefined;
    const length = measure(value);
    return length === undefined || (isMost ? length <= bound : length >= bound) ? undefined : mistake;
  };
}

/** What a text of this length may be as base64, padding included, as the predecessor reckons it. */
function decodedLengthOf(value: unknown): number | undefined {
  return Array.isArray(value) ? undefined : decodedLength(lengthOf(value));
}

function decodedLength(length: number | undefined): number | undefined {
  return length === undefined ? undefined : Math.floor(length / 4) * 3;
}

function countOf(value: unknown): number | undefined {
  if (Array.isArray(value)) return value.length;
  return isObject(value) ? Object.keys(value).length : undefined;
}

function patternTest(operand: unknown): ValueTest {
  if (typeof operand !== "string") throw new Error("must be a text");
  const pattern = patternFrom(operand);
  const mistake = `does not match the pattern ${operand.slice(0, maxDetailLength)}`;
  return (value) => {
    const text = textOf(value);
    return text === undefined || pattern.test(text) ? undefined : mistake;
  };
}

/** The predecessor's patterns may begin with flags, as in `(?i)`, and name scripts without "Script=". */
function patternFrom(operand: string): RegExp {
  const [, flags = "", source = ""] = /^(?:\(\?([ims]+)\))?([\s\S]*)$/.exec(operand) ?? [];
  try {
    return new RegExp(source.replaceAll(/\\([pP])\{([A-Z][a-z]\w+)\}/g, "\\$1{Script=$2}"), `${flags}u`);
  } catch {
    // What is right without Unicode only, such as an escape that needs none.
  }
  try {
    return new RegExp(source, flags);
  } catch (error) {
    throw new Error("is not a pattern", { cause: error });
  }
}

type FormatCheck = (text: string) => boolean;

const formats: ReadonlyMap<string, FormatCheck> = new Map<string, FormatCheck>([
  ...(
    [
      "date-time",
      "date",
      "time",
      "hostname",
      "ipv4",
      "ipv6",
      "uri",
      "uri-reference",
      "uri-template",
      "json-pointer",
      "relative-json-pointer",
      "regex",
    ] as const
  ).map((name) => [name, standardFormat(name)] as const),
  ["email", isAddress],
  ["idn-email", isAddress],
  ["idn-hostname", (text) => text !== "" && !/[\s_]/.test(text)],
  ["iri", (text) => URL.canParse(text)],
  ["iri-reference", (text) => URL.canParse(text, "http://base")],
  /** A mobile number of mainland China. */
  ["phone", (text) => /^1\d{10}$/.test(text)],
]);

function isAddress(text: string): boolean {
  return /^[^\s@]+@[^\s@]+$/.test(text);
}

function standardFormat(name: keyof typeof fullFormats): FormatCheck {
  const format = fullFormats[name];
  if (format instanceof RegExp) return (text) => format.test(text);
  if (typeof format === "function") return (text) => format(text) === true;
  const validate = typeof format === "object" && "validate" in format ? format.validate : undefined;
  if (validate instanceof RegExp) return (text) => validate.test(text);
  if (typeof validate === "function") return (text) => Reflect.apply(validate, undefined, [text]) === true;
  throw new Error(`'${name}' is no format`);
}

function formatTest(operand: unknown): ValueTest {
  const check = typeof operand === "string" ? formats.get(operand) : undefined;
  if (check === undefined) throw new Error(`knows no format ${JSON.stringify(operand)}`);
  const mistake = `must be in the format ${operand}`;
  return (value) => {
    const text = textOf(value);
    return text === undefined || check(text) ? undefined : mistake;
  };
}

/** Refuses whatever comes to it, in its own words: the predecessor's way to refuse what an `if` has found. */
function errorTest(operand: unknown): ValueTest {
  const mistake = textFromValue(operand).slice(0, maxDetailLength);
  return () => mistake;
}

function numberFrom(operand: unknown): number {
  if (typeof operand !== "number") throw new Error("must be a number");
  return operand;
}
