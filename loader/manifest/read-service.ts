import { existsSync } from "node:fs";
import { join } from "node:path";
import { type LocatedManifest, loadManifest } from "./manifest.ts";

/** The ids that may name a folder: nothing that leads out of the repository. */
const folderName = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/;

/**
 * Reads a service by its id: from the folder that defined it before, or else from the folder of that name in the
 * repository, which is remembered in `folderOf`. Undefined when there is none. Throws ConfigError.
 */
export function readService(
  id: string,
  folderOf: Map<string, string>,
  repository: string | undefined,
): LocatedManifest | undefined {
  const known = folderOf.get(id);
  if (known !== undefined) return loadManifest(known);
  if (repository === undefined || !folderName.test(id) || !existsSync(join(repository, id))) return undefined;
  const located = loadManifest(join(repository, id));
  folderOf.set(located.manifest.id, located.folder);
  return located;
}
