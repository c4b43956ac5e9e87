import { createHash } from "node:crypto";
import { mkdir, readdir, rename, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServingError } from "../../../proto/errors.ts";

const sources = join(import.meta.dir, "host");

/** Where an installation brings its host program with it (prebuild.ts). It is as much to be trusted as the sources beside it. */
export const installedFolder = join(import.meta.dir, "bin");

const userId = process.getuid?.() ?? 0;
const compilers = ["c++", "g++", "clang++"];

/** What {@link buildNativeHost} may be told. */
export interface BuildOptions {
  /** Where host programs are kept; it must be ours alone, since what lies there is run. */
  readonly folder?: string;
  /** What is looked for on the path, so that a test can look for none. */
  readonly command?: (name: string) => string | null;
  /** For the compiler, beside its usual ones. */
  readonly flags?: readonly string[];
}

/**
 * The path of the host program, compiled when this version of its sources has not been yet.
 *
 * @throws ServingError SERVICE_NOT_READY when there is no C++ compiler, it fails, or the folder is not ours alone.
 */
export async function buildNativeHost(options: BuildOptions = {}): Promise<string> {
  const { folder = join(tmpdir(), `athena-native-${userId}`), command = Bun.which, flags = [] } = options;
  const name = `host-${await fingerprint(flags)}`;
  const installed = join(installedFolder, name);
  if (await Bun.file(installed).exists()) return installed;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await assertOurs(folder);
  const program = join(folder, name);
  if (await Bun.file(program).exists()) return program;
  const compiler = compilers.map((name) => command(name)).find((path) => path !== null);
  if (compiler === undefined) {
    const message = "the native engine needs a C++ compiler to build its host once (Debian: apt-get install g++)";
    throw new ServingError("SERVICE_NOT_READY", message);
  }
  // Under a name of its own first: two loaders may build at the same time.
  const partial = `${program}.${process.pid}.${Math.trunc(performance.now())}`;
  const parts = ["-O2", "-std=c++17", "-pthread", ...flags, join(sources, "main.cpp"), "-ldl", "-o", partial];
  const build = Bun.spawn([compiler, ...parts], { stdout: "pipe", stderr: "pipe" });
  const errors = await Bun.readableStreamToText(build.stderr);
  if ((await build.exited) !== 0) {
    throw new ServingError("SERVICE_NOT_READY", "the native engine's host cannot be compiled", {
      cause: new Error(errors),
    });
  }
  await rename(partial, program);
  return program;
}

/** Nobody else may have put a program there in advance. */
async function assertOurs(folder: string): Promise<void> {
  const { uid, mode } = await stat(folder);
  if (uid === userId && (mode & 0o022) === 0) return;
  throw new ServingError("SERVICE_NOT_READY", "the folder of the native engine's host can be written by other users");
}

async function fingerprint(flags: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(flags.join(" "));
  for (const name of (await readdir(sources)).toSorted()) hash.update(await Bun.file(join(sources, name)).bytes());
  return hash.digest("hex").slice(0, 16);
}
