import { isRecord } from "../dialect.ts";
import type { Rewrite } from "./set-values.ts";
import { copyOf } from "./value.ts";
import { scalarText } from "./value-tests.ts";

/** The keywords of a property's schema that change the object around it. */
export const memberKeywords = ["constVal", "defaultVal", "replaceKey", "formatVal"] as const;

/**
 * Compiles what the schemas of an object's properties do to the object once it is checked: constants are set, defaults
 * where a member is missing, copies under another name where that is free, and values are made what `formatVal` says, in
 * this order. Undefined where they do nothing.
 *
 * @throws Error with the property's name and the words that follow it.
 */
export function compileMemberRewrites(properties: Readonly<Record<string, unknown>>): Rewrite | undefined {
  const found: Record<(typeof memberKeywords)[number], Rewrite[]> = {
    constVal: [],
    defaultVal: [],
    replaceKey: [],
    formatVal: [],
  };
  for (const [name, schema] of Object.entries(properties)) {
    if (!isRecord(schema)) continue;
    for (const keyword of memberKeywords) {
      if (!Object.hasOwn(schema, keyword)) continue;
      found[keyword].push(makers[keyword](name, schema[keyword]));
    }
  }
  const rewrites = memberKeywords.flatMap((keyword) => found[keyword]);
  if (rewrites.length === 0) return undefined;
  return (object) => {
    for (const rewrite of rewrites) rewrite(object);
  };
}

const makers: Readonly<Record<(typeof memberKeywords)[number], (name: string, operand: unknown) => Rewrite>> = {
  constVal: (name, operand) => (object) => {
    object[name] = copyOf(operand);
  },
  defaultVal: (name, operand) => (object) => {
    if (!Object.hasOwn(object, name)) object[name] = copyOf(operand);
  },
  replaceKey(name, operand) {
    if (typeof operand !== "string" || operand === "" || operand === "__proto__") {
      throw new Error(`${name}.replaceKey must be the name of a member`);
    }
    return (object) => {
      if (Object.hasOwn(object, name) && !Object.hasOwn(object, operand)) object[operand] = object[name];
    };
  },
  formatVal(name, operand) {
    if (typeof operand !== "string") throw new Error(`${name}.formatVal must be the name of a type`);
    return (object) => {
      if (Object.hasOwn(object, name)) object[name] = formatted(object[name], operand);
    };
  },
};

/** A value as another type; one that cannot be it stays as it is. */
function formatted(value: unknown, type: string): unknown {
  switch (type) {
    case "string":
      return scalarText(value);
    case "number":
    case "integer":
      return numberFrom(value);
    case "bool":
    case "boolean":
      return typeof value === "number" ? value > 0 : value === true || value === "true";
    default:
      return value;
  }
}

function numberFrom(value: unknown): unknown {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value === null) return 0;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
  return Number.isFinite(number) ? number : value;
}
