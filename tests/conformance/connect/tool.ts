import { existsSync } from "node:fs";
import { join } from "node:path";
import { goTool, runGo } from "../../go-tool.ts";

const root = join(import.meta.dir, "../../..");
const suite = "connectrpc.com/conformance";
const version = "v1.0.7";
const descriptors = join(root, `.cache/conformance-${version}.binpb`);

/** The conformance suite of the Connect project, made ready to run. */
export interface ConformanceTool {
  /** The program that plays the client and judges the answers. */
  readonly runner: string;
  /** The suite's messages and service, as a set of file descriptors. */
  readonly descriptors: string;
}

/** Builds the suite into the project's cache, once. */
export async function prepareConformance(): Promise<ConformanceTool> {
  const runner = await goTool("connectconformance", `${suite}/cmd/connectconformance`, version);
  if (!existsSync(descriptors)) await describeMessages();
  return { runner, descriptors };
}

async function describeMessages(): Promise<void> {
  const { Dir }: { readonly Dir: string } = JSON.parse(
    await runGo(["mod", "download", "-json", `${suite}@${version}`]),
  );
  const buf = join(root, "node_modules/.bin/buf");
  const child = Bun.spawn([buf, "build", join(Dir, "proto"), "-o", descriptors], { cwd: root, timeout: 60_000 });
  if ((await child.exited) !== 0) throw new Error("the suite's messages could not be read");
}
