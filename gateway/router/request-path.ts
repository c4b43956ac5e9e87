import type { Envelope } from "../types.ts";

/** A place in an envelope: the section, then names and list indices. */
export type RequestPath = readonly string[];

const step = /\.([^.[\]\s]+)|\[(\d+)\]|\['([^']+)'\]/y;

/**
 * Reads a JSON path to one value of an envelope, such as `$.parameter.ocr.langs[0]`; the `$.` may be left out. Undefined
 * for text that is no such path.
 */
export function requestPathFrom(text: string): RequestPath | undefined {
  const steps = text.startsWith("$") ? text.slice(1) : `.${text}`;
  const names: string[] = [];
  step.lastIndex = 0;
  while (step.lastIndex < steps.length) {
    const found = step.exec(steps);
    if (found === null) return undefined;
    names.push(found[1] ?? found[2] ?? found[3] ?? "");
  }
  const [section] = names;
  return section === "header" || section === "parameter" || section === "payload" ? names : undefined;
}

/** The value at a path; undefined where there is none. Of a payload stream only the attributes are values. */
export function valueAt(envelope: Envelope, path: RequestPath): unknown {
  const [section, ...names] = path;
  if (section === "header" || section === "parameter") return valueWithin(envelope[section], names);
  const [stream, ...rest] = names;
  const part = envelope.payload.find(({ name }) => name === stream);
  return part === undefined ? undefined : valueWithin(part.attributes, rest);
}

function valueWithin(value: unknown, names: readonly string[]): unknown {
  let current: unknown = value;
  for (const name of names) {
    if (typeof current !== "object" || current === null || !Object.hasOwn(current, name)) return undefined;
    current = Reflect.get(current, name);
  }
  return current;
}
