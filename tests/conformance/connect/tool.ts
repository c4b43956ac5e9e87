import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "../../..");
const module = "connectrpc.com/conformance";
const version = "v1.0.7";
const runner = join(root, ".cache/go/connectconformance");
const descriptors = join(root, `.cache/conformance-${version}.binpb`);

/** The conformance suite of the Connect project, made ready to run. */
export interface ConformanceTool {
  /** The program that plays the client and judges the answers. */
  readonly runner: string;
  /** The suite's messages and service, as a set of file descriptors. */
  readonly descriptors: string;
}

/** Builds the suite with Go into the project's cache, once. Throws what to install where Go is missing. */
export async function prepareConformance(): Promise<ConformanceTool> {
  if (existsSync(runner) && existsSync(descriptors)) return { runner, descriptors };
  const go = Bun.which("go");
  if (go === null) throw new Error("the conformance suite needs Go (Debian: apt-get install golang-go)");
  const env = { ...process.env, GOBIN: join(root, ".cache/go"), GOFLAGS: "-mod=mod" };
  await run([go, "install", `${module}/cmd/connectconformance@${version}`], env);
  const downloaded: { readonly Dir: string } = JSON.parse(
    await run([go, "mod", "download", "-json", `${module}@${version}`], env),
  );
  const buf = join(root, "node_modules/.bin/buf");
  await run([buf, "build", join(downloaded.Dir, "proto"), "-o", descriptors], process.env);
  return { runner, descriptors };
}

async function run(command: readonly string[], env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const child = Bun.spawn([...command], { cwd: root, env, stdout: "pipe", stderr: "pipe", timeout: 300_000 });
  const [output, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")} failed: ${errors}`);
  return output;
}
