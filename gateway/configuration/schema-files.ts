import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { ConfigError } from "../../config/load.ts";
import { readSchemaFile, type SchemaFile } from "../schema/predecessor/schema-file.ts";

/** A schema file and where it was read from. */
export interface LocatedSchemaFile {
  /** Its name, for messages. */
  readonly name: string;
  readonly file: SchemaFile;
  /** A mistake with the file's name and its line. */
  mistakeAt(path: readonly (string | number)[], message: string): string;
}

/** As many as services. */
const maxFiles = 10_000;

/** The files of a folder that are schema files: the predecessor told them by their names. */
const schemaFileName = /^schema.*\.json$/;

/** The schema files that a path of the configuration means: itself, or those of the folder. Throws what the system says. */
export function schemaFilesAt(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  const names = readdirSync(path).filter((name) => schemaFileName.test(name));
  return names.toSorted().map((name) => join(path, name));
}

/** Reads schema files; every mistake in any of them goes into `mistakes`, with the file and its line. */
export function readSchemaFiles(paths: readonly string[], mistakes: string[]): readonly LocatedSchemaFile[] {
  if (paths.length > maxFiles) mistakes.push(`schemas: more than ${maxFiles} files`);
  const read = new Map<string, LocatedSchemaFile>();
  for (const path of paths.slice(0, maxFiles)) {
    const name = basename(path);
    try {
      const { value: file, mistakeAt } = readSchemaFile(path);
      const twin = read.get(file.serviceId);
      if (twin === undefined)
        read.set(file.serviceId, { name, file, mistakeAt: (...at) => `${name}: ${mistakeAt(...at)}` });
      else
        mistakes.push(`${name}: ${mistakeAt(["meta", "serviceId"], `'${file.serviceId}' stands in ${twin.name} too`)}`);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      mistakes.push(...error.mistakes.map((mistake) => `${name}: ${mistake}`));
    }
  }
  return [...read.values()];
}
