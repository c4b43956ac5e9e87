/** Python engines for tests, with the services of tests/fixtures/wrappers. */
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine, EngineDescription, EngineInput } from "../engine.ts";
import { createPythonEngine, type PythonEngineOptions } from "./engine.ts";

export const wrappers = join(import.meta.dir, "../../../tests/fixtures/wrappers");
export const never = new AbortController().signal;

/** Where a fixture's `note()` writes. */
const notesPath = join(tmpdir(), `athena-notes-${process.pid}`);
Bun.env.ATHENA_TEST_NOTES = notesPath;

const running: Engine[] = [];

/** Stops every engine that was started, and forgets the notes. */
export async function stopEngines(): Promise<void> {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
  rmSync(notesPath, { force: true });
}

/** An engine that is not started. */
export function buildEngine(wrapper: string, changes: Partial<PythonEngineOptions> = {}): Engine {
  const engine = createPythonEngine({
    service: "test",
    wrapper: join(wrappers, wrapper),
    python: Bun.env.ATHENA_TEST_SERVICE_PYTHON ?? "python3",
    workers: 1,
    threads: 4,
    config: {},
    startTimeoutMs: 20_000,
    logger: createLogger("test", { write: () => {} }),
    onHealth: () => {},
    onProgress: () => {},
    ...changes,
  });
  running.push(engine);
  return engine;
}

/** An engine that is ready, and what it told about its service. */
export async function startEngine(
  wrapper: string,
  changes: Partial<PythonEngineOptions> = {},
): Promise<{ readonly engine: Engine; readonly told: EngineDescription }> {
  const engine = buildEngine(wrapper, changes);
  const told = await engine.start(never);
  if (told === undefined) throw new Error("the engine told nothing");
  return { engine, told };
}

/** What a part is made of: a text's name and data, or the fields of a part. */
export type PartLike = Partial<Pick<Part, "type" | "attributes" | "data">> & { readonly text?: string };

/** Parts by their names. */
export function partsOf(parts: Readonly<Record<string, string | PartLike>>): Part[] {
  return Object.entries(parts).map(([name, given]) => {
    const { text = "", ...fields }: PartLike = typeof given === "string" ? { text: given } : given;
    const data = new TextEncoder().encode(text);
    return { $typeName: "athena.v1.Part", name, type: PartType.TEXT, attributes: {}, data, ...fields };
  });
}

/** A request with these parts and parameters. */
export function requestOf(
  parts: Readonly<Record<string, string | PartLike>>,
  parameters: Readonly<Record<string, string>> = {},
  sid = "sid-1",
): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "test",
    version: "",
    sid,
    headers: { app_id: "app" },
    parameters: { ...parameters },
    expects: [],
    parts: partsOf(parts),
    resourceIds: [],
    priority: 0,
  };
}

/** The text of the one part of an answer. */
export async function ask(engine: Engine, request: InferRequest, signal = never): Promise<string> {
  const { parts } = await engine.infer(request, signal);
  if (parts.length !== 1) throw new Error(`${parts.length} parts`);
  return new TextDecoder().decode(parts[0]?.data);
}

/** Why a call failed. */
export async function failureOf(call: Promise<unknown>): Promise<ServingError> {
  return call.then(
    (value) => new ServingError("INTERNAL", `it was answered: ${JSON.stringify(value)}`),
    (error) => ServingError.from(error),
  );
}

/** The chunks of a session, the last of them marked. */
export async function* chunks(
  ...all: readonly Readonly<Record<string, string | PartLike>>[]
): AsyncGenerator<EngineInput> {
  for (const [index, parts] of all.entries()) yield { parts: partsOf(parts), last: index === all.length - 1 };
}

/** What a session answered: the text and the status of each result. */
export async function collect(
  engine: Engine,
  request: InferRequest,
  inputs: AsyncIterable<EngineInput>,
  signal = never,
): Promise<string[]> {
  const results: string[] = [];
  for await (const { parts, status } of engine.stream(request, inputs, signal)) {
    results.push(`${Status[status]} ${parts.map(({ data }) => new TextDecoder().decode(data)).join("|")}`);
  }
  return results;
}

/** Waits until the fixture has noted this many lines; gives them. */
export async function untilNoted(lines: number): Promise<readonly string[]> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const noted = notes();
    if (noted.length >= lines) return noted;
    if (performance.now() > deadline) throw new Error(`only ${JSON.stringify(noted)} was noted`);
    await Bun.sleep(5);
  }
}

function notes(): readonly string[] {
  try {
    return readFileSync(notesPath, "utf8").split("\n").slice(0, -1);
  } catch {
    return [];
  }
}
