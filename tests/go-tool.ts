import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..");
const binaries = join(root, ".cache/go");

/** Runs Go; what it wrote. Throws what it said, and what to install where Go is missing. */
export async function runGo(command: readonly string[], folder = root): Promise<string> {
  const go = process.env.ATHENA_TEST_GO ?? Bun.which("go");
  if (go === null) throw new Error("these tests need Go, which tests/run.ts brings");
  const child = Bun.spawn([go, ...command], {
    cwd: folder,
    env: { ...process.env, GOBIN: binaries, GOFLAGS: "-mod=mod" },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 300_000,
  });
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) !== 0) throw new Error(`go ${command.join(" ")} failed: ${errors}`);
  return output;
}

/** Builds a program of a Go module into the project's cache, once for each version; gives its path. */
export async function goTool(name: string, program: string, version: string): Promise<string> {
  const path = join(binaries, name);
  const stamp = join(binaries, `${name}.version`);
  if (existsSync(path) && existsSync(stamp) && (await Bun.file(stamp).text()) === version) return path;
  await runGo(["install", `${program}@${version}`]);
  await Bun.write(stamp, version);
  return path;
}
