import { existsSync } from "node:fs";
import { join } from "node:path";
import type { LocatedManifest } from "../loader/manifest/manifest.ts";
import { CommandFailure } from "./failure.ts";

/**
 * Builds a C or C++ service whose folder has a Makefile, where its sources are newer than its library. True when something
 * was built. Other services need no building.
 *
 * @throws CommandFailure with what the compiler says.
 */
export async function build({ manifest, folder }: LocatedManifest, signal: AbortSignal): Promise<boolean> {
  if (manifest.engine.kind !== "native" || !existsSync(join(folder, "Makefile"))) return false;
  if (Bun.which("make") === null) {
    throw new CommandFailure(`building '${manifest.id}' needs make (Debian: apt-get install make g++)`);
  }
  // 0: up to date.
  if ((await make(folder, "--question", signal)).code === 0) return false;
  const { code, output } = await make(folder, "--no-print-directory", signal);
  if (code !== 0) throw new CommandFailure(`'${manifest.id}' cannot be built:\n${output.trimEnd()}`);
  return true;
}

async function make(folder: string, option: string, signal: AbortSignal) {
  const child = Bun.spawn(["make", option], { cwd: folder, stdin: "ignore", stdout: "ignore", stderr: "pipe", signal });
  const output = await Bun.readableStreamToText(child.stderr);
  return { code: await child.exited, output };
}
