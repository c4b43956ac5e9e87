import { existsSync } from "node:fs";
import { join } from "node:path";

/** The engine of a folder without a service.yaml, by the files that are in it; undefined when none of them tells. */
export function engineFromFolder(folder: string): { readonly kind: string } | undefined {
  if (existsSync(join(folder, "wrapper.py"))) return { kind: "python" };
  return undefined;
}
