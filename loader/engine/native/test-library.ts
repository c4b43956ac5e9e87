import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine, EngineInput } from "../engine.ts";
import { buildNativeHost } from "./build.ts";
import { createNativeEngine, type NativeEngineOptions } from "./engine.ts";

const wrappers = join(import.meta.dir, "../../../tests/fixtures/wrappers");
const never = new AbortController().signal;

/** Compiles one of the fixtures, as its users would; throws with the compiler's words. Compiles the host too. */
export async function compileLibrary(source: "native.cpp" | "plain.c", folder: string): Promise<string> {
  const library = join(folder, `${source}.so`);
  const language = source.endsWith(".c") ? ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror"] : ["g++", "-std=c++17"];
  const command = [...language, "-O1", "-shared", "-fPIC", "-pthread", join(wrappers, source), "-o", library];
  const build = Bun.spawnSync(command);
  if (!build.success) throw new Error(build.stderr.toString());
  await buildNativeHost();
  return library;
}

/** An engine of a compiled library, and what was told while it ran. */
export interface LibraryEngine {
  readonly engine: Engine;
  readonly lines: Readonly<Record<string, unknown>>[];
  readonly progress: string[];
  readonly meters: string[];
}

/** Starts an engine of a compiled library. */
export async function startLibrary(
  library: string,
  changes: Partial<NativeEngineOptions> = {},
): Promise<LibraryEngine> {
  const lines: Record<string, unknown>[] = [];
  const progress: string[] = [];
  const meters: string[] = [];
  const engine = createNativeEngine({
    service: "test",
    library,
    async: false,
    workers: 1,
    threads: 4,
    config: {},
    startTimeoutMs: 20_000,
    logger: createLogger("test", { write: (line: string) => void lines.push(JSON.parse(line)) }),
    onHealth: () => {},
    onProgress: (text) => progress.push(text),
    onMeter: (key, count) => meters.push(`${key} ${count}`),
    ...changes,
  });
  await engine.start(never);
  return { engine, lines, progress, meters };
}

/** A part named text. */
export function textPart(text: string, attributes: Record<string, string> = {}): Part {
  const data = new TextEncoder().encode(text);
  return { $typeName: "athena.v1.Part", name: "text", type: PartType.TEXT, attributes, data };
}

/** A request of the fixtures, which say in their parameter `mode` what is to happen. */
export function requestOf(
  text: string,
  { mode = "", sid = "s", resourceIds = [] }: { mode?: string; sid?: string; resourceIds?: number[] } = {},
): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "test",
    version: "",
    sid,
    headers: {},
    parameters: mode === "" ? {} : { mode },
    expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.TEXT, attributes: {} }],
    parts: [textPart(text)],
    resourceIds,
    priority: 0,
  };
}

/** The text of a once-call's answer. */
export async function ask(engine: Engine, request: InferRequest): Promise<string> {
  const { parts } = await engine.infer(request, never);
  return new TextDecoder().decode(parts[0]?.data);
}

/** The texts that a session answers to these chunks, with the last of which it ends. */
export async function converse(
  engine: Engine,
  request: InferRequest,
  texts: readonly string[],
  signal = never,
  onResult: (text: string) => unknown = () => {},
): Promise<string[]> {
  async function* inputs(): AsyncGenerator<EngineInput> {
    for (const [index, text] of texts.entries()) {
      const last = index === texts.length - 1;
      yield { parts: [textPart(text, { status: last ? "2" : String(Math.min(index, 1)) })], last };
      // So that sessions meet: each goes on when the others had their turn.
      await Bun.sleep(0);
    }
  }
  const results: string[] = [];
  for await (const { parts } of engine.stream({ ...request, parts: [] }, inputs(), signal)) {
    const text = new TextDecoder().decode(parts[0]?.data);
    results.push(text);
    onResult(text);
  }
  return results;
}

/** Asks again until the condition holds, for at most ten seconds. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("the condition never held");
    await Bun.sleep(10);
  }
}

/** Removes a folder, however much is left in it. */
export const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });
