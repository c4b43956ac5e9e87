import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join, normalize } from "node:path";
import { z } from "zod";

/** The most that an example may hold: definitions travel to every gateway again and again. */
const maxExampleBytes = 1_048_576;

/** Data that an input accepts, for tests and documentation: text, or a file of the service's folder. */
export const exampleSchema = z.union([z.string(), z.strictObject({ file: z.string().min(1) })], {
  error: "expected text or { file: name }",
});

/** Inputs as service.yaml declares them, as far as their examples go. */
type Inputs = Readonly<
  Record<string, { readonly maxBytes: number; readonly example?: z.output<typeof exampleSchema> | undefined }>
>;

/**
 * The bytes of each input's example, by the input's name. An example that cannot be used becomes an issue of `context` at its
 * place in service.yaml.
 */
export function readExamples(
  inputs: Inputs | undefined,
  folder: string,
  context: z.RefinementCtx,
): ReadonlyMap<string, Uint8Array> {
  const examples = new Map<string, Uint8Array>();
  for (const [name, { example, maxBytes }] of Object.entries(inputs ?? {})) {
    if (example === undefined) continue;
    const path = ["inputs", name, "example", ...(typeof example === "string" ? [] : ["file"])];
    const limit = maxBytes === 0 ? maxExampleBytes : Math.min(maxBytes, maxExampleBytes);
    const bytes =
      typeof example === "string" ? new TextEncoder().encode(example) : readFile(folder, example.file, limit);
    if (typeof bytes === "string") context.addIssue({ code: "custom", path, message: bytes });
    else if (bytes.length > limit) context.addIssue({ code: "custom", path, message: `more than ${limit} bytes` });
    else examples.set(name, bytes);
  }
  return examples;
}

/** A file's bytes, or why they cannot be used. */
function readFile(folder: string, file: string, limit: number): Uint8Array | string {
  // An image of the service holds its folder and nothing else.
  if (isAbsolute(file) || /^\.\.(\/|$)/.test(normalize(file))) return "must be a file in the service's folder";
  const path = join(folder, file);
  try {
    const status = statSync(path);
    if (!status.isFile()) return `'${file}' is not a file`;
    return status.size > limit ? `'${file}' has more than ${limit} bytes` : readFileSync(path);
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
    return `'${file}' cannot be read (${reason})`;
  }
}
