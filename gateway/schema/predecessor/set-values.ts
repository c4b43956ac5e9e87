import { isRecord } from "../dialect.ts";
import { copyOf, isObject, type MutableObject } from "./value.ts";
import { scalarText } from "./value-tests.ts";

/** Changes an object of a request. */
export type Rewrite = (object: MutableObject) => void;

/** Gives a value from the object that is rewritten. */
type Source = (object: MutableObject) => unknown;

/**
 * Compiles `setVal`: members, by their paths within the object, and what they become: a constant, the value at another
 * path (`${header.uid}`), or `{func, args}`. Nothing is set below an object that is not there.
 *
 * @throws Error with the words that follow the keyword.
 */
export function compileSetValues(operand: unknown): Rewrite {
  if (!isRecord(operand)) throw new Error("must be an object");
  const assignments = Object.entries(operand).map(([path, value]) => ({
    path: namesFrom(path),
    source: sourceFrom(value),
  }));
  return (object) => {
    for (const { path, source } of assignments) {
      const last = path.at(-1);
      const parent = valueAt(object, path.slice(0, -1));
      if (last !== undefined && isObject(parent)) parent[last] = source(object);
    }
  };
}

function namesFrom(path: string): readonly string[] {
  const names = path.split(".");
  if (names.some((name) => name === "" || name === "__proto__")) throw new Error(`has the bad path '${path}'`);
  return names;
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  let current: unknown = value;
  for (const name of path) {
    if (!isObject(current) || !Object.hasOwn(current, name)) return null;
    current = current[name];
  }
  return current;
}

function sourceFrom(operand: unknown): Source {
  const reference = typeof operand === "string" ? /^\$\{([^{}]+)\}$/.exec(operand)?.[1] : undefined;
  if (reference !== undefined) {
    const path = reference.split(".");
    return (object) => copyOf(valueAt(object, path));
  }
  if (isRecord(operand) && typeof operand.func === "string" && Array.isArray(operand.args)) {
    const compute = functions.get(operand.func);
    // The predecessor took a function that it did not know for a constant, which no service can have meant.
    if (compute === undefined) throw new Error(`knows no function '${operand.func}'`);
    const sources = operand.args.map(sourceFrom);
    return (object) => compute(sources.map((source) => source(object)));
  }
  return () => copyOf(operand);
}

const functions: ReadonlyMap<string, (args: readonly unknown[]) => unknown> = new Map([
  ["append", (args) => args.map(scalarText).join("")],
  ["add", (args) => args.reduce<number>((sum, value) => sum + numberOf(value), 0)],
  ["or", (args) => args.find((value) => value !== null && value !== "") ?? null],
  ["join", ([list, separator]) => (Array.isArray(list) ? list.map(scalarText).join(scalarText(separator)) : "")],
  ["split", ([text, separator, count]) => split(scalarText(text), separator, count)],
  [
    "replace",
    ([text, from, to]) => (to === undefined ? "" : scalarText(text).replaceAll(scalarText(from), scalarText(to))),
  ],
  ["trim", ([text, characters]) => trim(scalarText(text), scalarText(characters))],
]);

function numberOf(value: unknown): number {
  if (typeof value === "boolean") return value ? 1 : 0;
  return typeof value === "number" ? value : 0;
}

/** At most `count` pieces, the last with what is left. */
function split(text: string, separator: unknown, count: unknown): readonly string[] | null {
  if (separator === undefined) return null;
  const pieces = text.split(scalarText(separator));
  if (typeof count !== "number" || count < 1 || pieces.length <= count) return pieces;
  return [...pieces.slice(0, count - 1), pieces.slice(count - 1).join(scalarText(separator))];
}

function trim(text: string, characters: string): string {
  if (characters === "") return "";
  let start = 0;
  let end = text.length;
  while (start < end && characters.includes(text.charAt(start))) start++;
  while (end > start && characters.includes(text.charAt(end - 1))) end--;
  return text.slice(start, end);
}
