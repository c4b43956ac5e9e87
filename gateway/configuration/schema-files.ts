import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { ConfigError } from "../../config/load.ts";
import { parseSchemaFile, type SchemaFile } from "../schema/predecessor/schema-file.ts";

/** A schema file and where it was read from. */
export interface LocatedSchemaFile {
  /** Its name, for messages. */
  readonly name: string;
  readonly text: string;
  readonly file: SchemaFile;
  /** A mistake with the file's name and its line. */
  mistakeAt(path: readonly (string | number)[], message: string): string;
}

/** Schema files by their paths. */
export type SchemaFiles = ReadonlyMap<string, LocatedSchemaFile>;

/** As many as services. */
const maxFiles = 10_000;

/** The predecessor told its schema files by their names. */
const schemaFileName = /^schema.*\.json$/;

/** The schema files that a path means: itself, or those of the folder. Rejects with what the system says. */
export async function schemaFilesAt(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).filter((name) => schemaFileName.test(name));
  return names.toSorted().map((name) => join(path, name));
}

/**
 * Reads schema files; every mistake in any of them goes into `mistakes`, with the file and its line. One whose text is that
 * of `previous` is not understood anew.
 */
export async function readSchemaFiles(
  paths: readonly string[],
  previous: SchemaFiles,
  mistakes: string[],
): Promise<SchemaFiles> {
  if (paths.length > maxFiles) mistakes.push(`schemas: more than ${maxFiles} files`);
  const files = new Map<string, LocatedSchemaFile>();
  const byId = new Map<string, LocatedSchemaFile>();
  for (const path of new Set(paths.slice(0, maxFiles))) {
    const located = await readOne(path, previous.get(path), mistakes);
    if (located === undefined) continue;
    const { serviceId } = located.file;
    const twin = byId.get(serviceId);
    if (twin !== undefined) {
      mistakes.push(located.mistakeAt(["meta", "serviceId"], `'${serviceId}' stands in ${twin.name} too`));
      continue;
    }
    byId.set(serviceId, located);
    files.set(path, located);
  }
  return files;
}

async function readOne(
  path: string,
  previous: LocatedSchemaFile | undefined,
  mistakes: string[],
): Promise<LocatedSchemaFile | undefined> {
  const name = basename(path);
  try {
    const text = await readFile(path, "utf8");
    if (text === previous?.text) return previous;
    const { value, mistakeAt } = parseSchemaFile(text, path);
    return { name, text, file: value, mistakeAt: (...at) => `${name}: ${mistakeAt(...at)}` };
  } catch (error) {
    const found = error instanceof ConfigError ? error.mistakes : [`it cannot be read (${reasonOf(error)})`];
    mistakes.push(...found.map((mistake) => `${name}: ${mistake}`));
    return undefined;
  }
}

/** What the system says of a file that it does not give: `ENOENT`. */
export function reasonOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
