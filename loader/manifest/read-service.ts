import { existsSync } from "node:fs";
import { join } from "node:path";
import { type LocatedManifest, loadManifest } from "./manifest.ts";

/** The ids that may name a folder: nothing that leads out of the repository. */
const folderName = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$/;

/**
 * Reads a service by its id: from what defined it before, or else from the folder of that name in the
 * repository, which is remembered in `sourceOf`. Undefined when there is none. Throws ConfigError.
 */
export function readService(
  id: string,
  sourceOf: Map<string, string>,
  repository: string | undefined,
): LocatedManifest | undefined {
  const known = sourceOf.get(id);
  if (known !== undefined) return loadManifest(known);
  if (repository === undefined || !folderName.test(id) || !existsSync(join(repository, id))) return undefined;
  const located = loadManifest(join(repository, id));
  // A folder that defines a service of another name must not become the source of that one.
  if (located.manifest.id === id) sourceOf.set(id, located.source);
  return located;
}
