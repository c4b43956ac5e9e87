import { isRecord } from "../dialect.ts";
import { isObject } from "./value.ts";

const stringTypes = /(^|\|)string(\||$)/;

/**
 * Puts what texts stand for in their place, where a schema asks for something else: "3" becomes 3 for an integer. For
 * requests that came as messages, in which every value is a text. Changes the value.
 */
export function readTexts(schema: unknown, value: unknown): void {
  if (!isRecord(schema) || !isRecord(schema.properties) || !isObject(value)) return;
  for (const [name, property] of Object.entries(schema.properties)) {
    if (!Object.hasOwn(value, name)) continue;
    const given = value[name];
    if (typeof given === "string") value[name] = readText(property, given);
    else readTexts(property, given);
  }
}

function readText(schema: unknown, text: string): unknown {
  const type = isRecord(schema) ? schema.type : undefined;
  if (typeof type !== "string" || stringTypes.test(type)) return text;
  if (/bool/.test(type) && (text === "true" || text === "false")) return text === "true";
  if (/integer|number/.test(type) && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  // As null, which is what an empty text stands for.
  return text === "" ? null : text;
}
