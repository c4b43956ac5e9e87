import { createHash } from "node:crypto";
import { mkdir, readdir, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServingError } from "../../../proto/errors.ts";

const sources = join(import.meta.dir, "host");
const compilers = ["c++", "g++", "clang++"];

/**
 * The path of the host program, compiled when this version of its sources has not been yet. `command` is what is looked for
 * on the path, so that a test can look for none.
 *
 * @throws ServingError SERVICE_NOT_READY when there is no C++ compiler, or it fails.
 */
export async function buildNativeHost(
  folder = join(tmpdir(), `athena-native-${process.getuid?.() ?? 0}`),
  command: (name: string) => string | null = Bun.which,
): Promise<string> {
  const program = join(folder, `host-${await fingerprint()}`);
  if (await Bun.file(program).exists()) return program;
  const compiler = compilers.map(command).find((path) => path !== null);
  if (compiler === undefined) {
    const message = "the native engine needs a C++ compiler to build its host once (Debian: apt-get install g++)";
    throw new ServingError("SERVICE_NOT_READY", message);
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Under a name of its own first: two loaders may build at the same time.
  const partial = `${program}.${process.pid}.${Math.trunc(performance.now())}`;
  const flags = ["-O2", "-std=c++17", "-pthread", join(sources, "main.cpp"), "-ldl", "-o", partial];
  const build = Bun.spawn([compiler, ...flags], { stdout: "pipe", stderr: "pipe" });
  const errors = await Bun.readableStreamToText(build.stderr);
  if ((await build.exited) !== 0) {
    throw new ServingError("SERVICE_NOT_READY", "the native engine's host cannot be compiled", {
      cause: new Error(errors),
    });
  }
  await rename(partial, program);
  return program;
}

async function fingerprint(): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await readdir(sources)).toSorted()) hash.update(await Bun.file(join(sources, name)).bytes());
  return hash.digest("hex").slice(0, 16);
}
