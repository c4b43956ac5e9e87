import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { isRecord, type JsonSchema } from "./dialect.ts";

/**
 * Says what is wrong with a value; undefined when nothing is. With `isText` the members of the value, an object, are texts
 * that stand for what the schema says they are: "3" for the number 3.
 */
export type SchemaCheck = (value: unknown, isText?: boolean) => readonly ErrorObject[] | undefined;

/** Above this many values in one section of a request only its first mistake is looked for. */
const maxValuesForAllMistakes = 2000;

/**
 * Compiles a schema of the 2020-12 dialect. Keywords that it does not know are ignored.
 *
 * A check stops at the first mistake, which is all that a good request costs. Only for a value that failed, and that is
 * small, a second check collects every mistake: the compiler's collecting mode alone would make one object for each of
 * a million wrong items.
 *
 * @throws Error for a schema that is not valid.
 */
export function compileSchema(schema: JsonSchema): SchemaCheck {
  assertSchema(schema);
  const first = createCompiler(false).compile(schema);
  let every: ValidateFunction | undefined;
  // A schema that refers to itself without an end shows only when it is used.
  first({});
  const checkValue = (value: unknown): readonly ErrorObject[] | undefined => {
    if (first(value)) return undefined;
    const errors = first.errors ?? [];
    if (!hasAtMost(maxValuesForAllMistakes, value)) return errors;
    every ??= createCompiler(true).compile(schema);
    every(value);
    return every.errors ?? errors;
  };
  let ofTexts: ValidateFunction | undefined;
  const checkTexts = (value: unknown): readonly ErrorObject[] | undefined => {
    ofTexts ??= createCompiler(false, true).compile(schema);
    // The compiler puts what a text stands for in its place: into a copy, since engines get the texts.
    return ofTexts(isRecord(value) ? { ...value } : value) ? undefined : (ofTexts.errors ?? []);
  };
  return (value, isText = false) => (isText ? checkTexts(value) : checkValue(value));
}

const common = { strict: false, logger: false } as const;
let metaCompiler: Ajv2020 | undefined;

/** Holds the schema of schemas, which takes 17 ms to compile: once, not for every service. */
function assertSchema(schema: JsonSchema): void {
  metaCompiler ??= new Ajv2020(common);
  if (metaCompiler.validateSchema(schema) === true) return;
  const [error] = metaCompiler.errors ?? [];
  throw new Error(`'${error?.instancePath.slice(1).replaceAll("/", ".") ?? ""}' ${error?.message ?? "is invalid"}`);
}

/** One for each schema: schemas do not meet, and what a compiler keeps goes when its service does. */
function createCompiler(allErrors: boolean, coerceTypes = false): Ajv2020 {
  const options = { ...common, allErrors, coerceTypes, ownProperties: true, meta: false, validateSchema: false };
  const compiler = new Ajv2020(options);
  addFormats.default(compiler);
  return compiler;
}

function hasAtMost(bound: number, value: unknown): boolean {
  const waiting = [value];
  let seen = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (Array.isArray(next) && next.length > bound) return false;
    const items = Array.isArray(next) ? next : isRecord(next) ? Object.values(next) : [];
    seen += items.length;
    if (seen > bound) return false;
    waiting.push(...items);
  }
  return true;
}
