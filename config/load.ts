import { readFileSync } from "node:fs";
import { type Document, isMap, isScalar, LineCounter, parseDocument, type YAMLError } from "yaml";
import type { z } from "zod";

/** A configuration that cannot be used: every mistake at once, each with its line where it has one. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly mistakes: readonly string[];

  constructor(source: string, mistakes: readonly string[], options?: ErrorOptions) {
    super(`${source} cannot be used:\n${mistakes.map((mistake) => `  ${mistake}`).join("\n")}`, options);
    this.mistakes = mistakes;
  }
}

/**
 * Reads a YAML file and returns it checked, with every default filled in, and frozen.
 *
 * @throws ConfigError when the file is missing, is not YAML, or breaks the schema.
 */
export function loadConfig<Schema extends z.ZodType>(path: string, schema: Schema): z.output<Schema> {
  return parseConfig(readConfig(path), schema, path);
}

/** A configuration that still knows where its parts stand in its file. */
export interface Located<Value> {
  readonly value: Value;
  /** A mistake that shows only beside something else, as the others are told: with its line and its key. */
  mistakeAt(path: readonly (string | number)[], message: string): string;
}

/**
 * As {@link loadConfig}, for text that came from somewhere else; `source` names it in the mistakes.
 *
 * @throws ConfigError when the text is not YAML or breaks the schema.
 */
export function parseConfig<Schema extends z.ZodType>(text: string, schema: Schema, source: string): z.output<Schema> {
  return parseLocated(text, schema, source).value;
}

/**
 * As {@link parseConfig}, with the places of its parts.
 *
 * @throws ConfigError as {@link parseConfig}.
 */
export function parseLocated<Schema extends z.ZodType>(
  text: string,
  schema: Schema,
  source: string,
): Located<z.output<Schema>> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  if (document.errors.length > 0) {
    throw new ConfigError(
      source,
      document.errors.map((error) => `line ${lines.linePos(error.pos[0]).line}: ${wordsOf(error)}`),
    );
  }
  const result = schema.safeParse(plainOf(document, source) ?? {});
  if (!result.success) {
    throw new ConfigError(
      source,
      result.error.issues.flatMap((issue) => mistakesFromIssue(document, lines, issue)),
    );
  }
  return {
    value: deepFreeze(result.data),
    mistakeAt: (path, message) => describe(path, lineOf(document, lines, path), message),
  };
}

/**
 * Reads a configuration file's text.
 *
 * @throws ConfigError when it cannot be read.
 */
export function readConfig(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new ConfigError(path, [`it cannot be read (${reason})`], { cause: error });
  }
}

/** What the parser would say of these quotes the file in the midst of a sentence. */
const wordsByCode: Partial<Record<YAMLError["code"], string>> = {
  BAD_COLLECTION_TYPE: "the tag does not fit what it stands before",
  BAD_DIRECTIVE: "the directive is not one of YAML's",
  BAD_DQ_ESCAPE: "invalid escape sequence between double quotes",
  TAG_RESOLVE_FAILED: "the tag is not known",
};

/** The parser's words without what they quote of the file: that may be a part of a secret, and goes to the log. */
function wordsOf({ code, message }: YAMLError): string {
  return wordsByCode[code] ?? message.replace(/: .*$/s, "");
}

function plainOf(document: Document, source: string): unknown {
  try {
    return document.toJS();
  } catch {
    // What the parser says names the alias.
    throw new ConfigError(source, ["an alias stands for no anchor before it, or aliases stand for too much"]);
  }
}

/** What a key may look like that is repeated: no more than a name with a mistake in it. */
const keyName = /^[A-Za-z_]{1,24}$/;

function mistakesFromIssue(document: Document, lines: LineCounter, issue: z.core.$ZodIssue): string[] {
  const path = issue.path.map((key) => (typeof key === "symbol" ? String(key) : key));
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => {
      const place = [...path, key];
      const line = lineOf(document, lines, place);
      return keyName.test(key) ? describe(place, line, "unknown key") : describe(path, line, "a key that is not known");
    });
  }
  return [describe(path, lineOf(document, lines, path), issue.message)];
}

function describe(path: readonly (string | number)[], line: number | undefined, message: string): string {
  const name = path.length === 0 ? "the file" : path.join(".");
  return line === undefined ? `${name}: ${message}` : `line ${line}: ${name}: ${message}`;
}

/** The line of a key, or of the nearest thing around it that the file really has. */
function lineOf(document: Document, lines: LineCounter, path: readonly (string | number)[]): number | undefined {
  for (let depth = path.length; depth > 0; depth -= 1) {
    const offset = offsetOf(document, path.slice(0, depth));
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return undefined;
}

function offsetOf(document: Document, path: readonly (string | number)[]): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === last);
    if (pair !== undefined && isScalar(pair.key)) return pair.key.range?.[0];
  }
  const node: unknown = document.getIn(path, true);
  return isScalar(node) || isMap(node) ? node.range?.[0] : undefined;
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
