import type { MistakeList } from "./mistake-list.ts";

/** One place of a schema at work: notes what is wrong with a value, and rewrites what is in it. */
export type Check = (value: unknown, path: string, mistakes: MistakeList) => void;

/** A schema of the predecessor's dialect, compiled. */
export interface DialectSchema {
  readonly check: Check;
  /** Whether checking may change a value, so that it must be a copy. */
  readonly rewrites: boolean;
}

/** What compiling one keyword is given. */
export interface CompileContext {
  /** The schema that the keyword stands in. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Compiles a schema within it, which stands at these names. */
  compile(schema: unknown, ...names: readonly (string | number)[]): DialectSchema;
}

/** Compiles one keyword. Throws an Error with the words that follow the keyword when its operand is no good. */
export type KeywordCompiler = (context: CompileContext) => DialectSchema;

/** A check that does nothing. */
export const nothing: DialectSchema = { check() {}, rewrites: false };
