import { wholeSchemaFrom } from "./definition.ts";
import { compileDialect } from "./predecessor/compile-dialect.ts";
import { createMistakeList } from "./predecessor/mistake-list.ts";
import { copyOfObject } from "./predecessor/value.ts";

/** Gives a section of a request, which was found good, as its schema rewrites it. What it is given stays as it is. */
export type SectionRewrite = (values: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>;

const rewritingKeywords = /"(?:constVal|defaultVal|replaceKey|formatVal|setVal|delete)"/;

/**
 * Compiles the rewriting keywords of the predecessor's dialect in one schema of a definition, which a wrapper made with the
 * predecessor's SDK may tell. Undefined for a schema without any, which is what nearly all are: it then costs nothing.
 */
export function compileSectionRewrite(text: string): SectionRewrite | undefined {
  if (!rewritingKeywords.test(text)) return undefined;
  const { rewrites, check } = compileDialect(wholeSchemaFrom(JSON.parse(text)), [], { ignoreUnknown: true });
  if (!rewrites) return undefined;
  return (values) => {
    const copy = copyOfObject(values);
    check(copy, "", createMistakeList());
    return copy;
  };
}
