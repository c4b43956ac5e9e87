import { readFileSync } from "node:fs";
import { z } from "zod";
import type { Part } from "../../proto/gen/athena/v1/part_pb.ts";
import { UsageError } from "../failure.ts";
import type { Check } from "./checks.ts";

const expectedSchema = z.record(z.string(), z.json());

/** What outputs must hold, by their names: text where it is a string, else the JSON that the output's text must be. */
export type Expected = z.output<typeof expectedSchema>;

/**
 * Reads a file of expected outputs, a JSON object.
 *
 * @throws UsageError for a file that is none.
 */
export function readExpected(file: string): Expected {
  try {
    return expectedSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (cause) {
    throw new UsageError(`${file} is no JSON object of expected outputs`, { cause });
  }
}

/** Compares an answer with what is expected of it: one check for each output that is named. */
export function checkExpected(expected: Expected, parts: readonly Part[]): readonly Check[] {
  return Object.entries(expected).map(([name, value]) => {
    const text = textOf(parts, name);
    const isPassed =
      text !== undefined && (typeof value === "string" ? text === value : Bun.deepEquals(parse(text), value));
    const got = text === undefined ? "it is not there" : `it is ${text.slice(0, 200)}`;
    return { name: `${name} is as expected`, isPassed, detail: isPassed ? "" : got };
  });
}

function textOf(parts: readonly Part[], name: string): string | undefined {
  const part = parts.find((one) => one.name === name);
  return part === undefined ? undefined : new TextDecoder().decode(part.data);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
