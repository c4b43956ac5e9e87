import { isRecord } from "../dialect.ts";
import type { CompileContext, DialectSchema } from "./check.ts";
import { createMistakeList, isEmpty, type MistakeList, note, noteAll } from "./mistake-list.ts";
import { adopt, copyOf, isObject } from "./value.ts";
import { scalarText } from "./value-tests.ts";

/** `allOf`: every one holds, each on what those before it made of the value. */
export function compileAllOf({ schema, compile }: CompileContext): DialectSchema {
  return inTurn(listOf(schema.allOf).map((part, index) => compile(part, "allOf", index)));
}

/** `anyOf` and `oneOf`: the first that holds is taken; for the predecessor both are the same. */
export function compileAnyOf(keyword: "anyOf" | "oneOf") {
  return ({ schema, compile }: CompileContext): DialectSchema => {
    const alternatives = listOf(schema[keyword]).map((part, index) => compile(part, keyword, index));
    return {
      rewrites: alternatives.some(({ rewrites }) => rewrites),
      check(value, path, mistakes) {
        const found: MistakeList[] = [];
        for (const alternative of alternatives) {
          const trial = tryOn(alternative, value, path);
          if (isEmpty(trial.mistakes)) return trial.keep();
          found.push(trial.mistakes);
        }
        for (const list of found) noteAll(mistakes, list);
      },
    };
  };
}

/** `not`: what it would rewrite is not rewritten. */
export function compileNot({ schema, compile }: CompileContext): DialectSchema {
  const refused = compile(schema.not, "not");
  return {
    rewrites: false,
    check(value, path, mistakes) {
      if (isEmpty(tryOn(refused, value, path).mistakes)) note(mistakes, path, "is not valid");
    },
  };
}

/** `if`, `then` and `else`: what the condition would rewrite is not rewritten. */
export function compileIf({ schema, compile }: CompileContext): DialectSchema {
  const condition = compile(schema.if, "if");
  const consequence = Object.hasOwn(schema, "then") ? compile(schema.then, "then") : undefined;
  const alternative = Object.hasOwn(schema, "else") ? compile(schema.else, "else") : undefined;
  return {
    rewrites: consequence?.rewrites === true || alternative?.rewrites === true,
    check(value, path, mistakes) {
      const holds = isEmpty(tryOn(condition, value, path).mistakes);
      (holds ? consequence : alternative)?.check(value, path, mistakes);
    },
  };
}

/** `switch`, `case` and `default`: which schema holds is said by the text of a member, "" where there is none. */
export function compileSwitch({ schema, compile }: CompileContext): DialectSchema {
  const { switch: member, case: cases = {}, default: otherwise } = schema;
  if (typeof member !== "string") throw new Error("must be the name of a member");
  if (!isRecord(cases)) throw new Error("needs a 'case' that is an object of schemas");
  const byText = new Map(Object.entries(cases).map(([text, part]) => [text, compile(part, "case", text)]));
  const rest = otherwise === undefined ? undefined : compile(otherwise, "default");
  return {
    rewrites: [...byText.values(), rest].some((part) => part?.rewrites === true),
    check(value, path, mistakes) {
      if (!isObject(value)) return;
      const text = Object.hasOwn(value, member) ? scalarText(value[member]) : "";
      (byText.get(text) ?? rest)?.check(value, path, mistakes);
    },
  };
}

/** Several checks of one value, one after the other. */
export function inTurn(parts: readonly DialectSchema[]): DialectSchema {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  return {
    rewrites: parts.some(({ rewrites }) => rewrites),
    check(value, path, mistakes) {
      for (const part of parts) part.check(value, path, mistakes);
    },
  };
}

/** Checks a value without changing it; `keep` makes the changes. */
function tryOn(schema: DialectSchema, value: unknown, path: string): { mistakes: MistakeList; keep: () => void } {
  const mistakes = createMistakeList();
  const subject = schema.rewrites ? copyOf(value) : value;
  schema.check(subject, path, mistakes);
  return { mistakes, keep: () => (schema.rewrites ? adopt(value, subject) : undefined) };
}

function listOf(operand: unknown): readonly unknown[] {
  if (!Array.isArray(operand)) throw new Error("must be a list of schemas");
  return operand;
}
