import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { EngineResult } from "../engine.ts";
import { startWorkerProcess, type WorkerProcess } from "./worker-process.ts";

const never = new AbortController().signal;
const running: WorkerProcess[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((worker) => worker.stop()));
});

async function start(maxFrameBytes = 64_000_000): Promise<{ worker: WorkerProcess; output: string[] }> {
  const output: string[] = [];
  const write = (line: string): void => void output.push(String(JSON.parse(line).output));
  const worker = await startWorkerProcess(
    {
      service: "fixture",
      command: [process.execPath, join(import.meta.dir, "fixture-worker.ts")],
      env: childEnvironment(),
      config: {},
      startTimeoutMs: 20_000,
      stopGraceMs: 1000,
      cancelGraceMs: 200,
      maxFrameBytes,
      logger: createLogger("test", { write }),
      now: () => performance.now(),
      onProgress: () => {},
    },
    never,
  );
  running.push(worker);
  return { worker, output };
}

function requestOf(data: Uint8Array, what = "echo"): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "fixture",
    version: "",
    sid: "s",
    headers: {},
    parameters: { do: what },
    expects: [],
    parts: [{ $typeName: "athena.v1.Part", name: "data", type: PartType.OTHER, attributes: {}, data }],
    resourceIds: [],
    priority: 0,
  };
}

const numbered = (number: number, what?: string): InferRequest => requestOf(new Uint8Array([number]), what);
const call = (request: InferRequest, signal = never) => ({ request, signal });

/** The first byte of an answer's data, or the reason of its failure. */
function shown(outcome: PromiseSettledResult<EngineResult> | undefined): unknown {
  if (outcome?.status === "fulfilled") return outcome.value.parts[0]?.data[0];
  return ServingError.from(outcome?.reason).reason;
}

async function untilSaid(output: readonly string[], line: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!output.includes(line) && performance.now() < deadline) await Bun.sleep(5);
}

describe("calls that are sent as a group", () => {
  test("are computed together, and each gets its own answer or its own failure", async () => {
    const { worker, output } = await start();
    const batch = [numbered(1), numbered(2, "throw"), numbered(3), numbered(4, "refuse")].map((one) => call(one));
    const outcomes = await worker.execBatch(batch);
    expect(outcomes.map(shown)).toEqual([1, "ENGINE_FAILED", 3, "INVALID_INPUT"]);
    await untilSaid(output, "a group of 4");
    expect(output).toContain("a group of 4");
    expect(worker.calls).toBe(0);
  });

  test("leave out one that nobody waits for any more, and one that is too large for a frame", async () => {
    const { worker, output } = await start(1_000_000);
    const gone = AbortSignal.abort(new ServingError("CANCELED", "gone"));
    const large = requestOf(new Uint8Array(1_000_000));
    const outcomes = await worker.execBatch([
      call(numbered(1)),
      call(numbered(2), gone),
      call(large),
      call(numbered(4)),
    ]);
    expect(outcomes.map(shown)).toEqual([1, "CANCELED", "PAYLOAD_TOO_LARGE", 4]);
    await untilSaid(output, "a group of 2");
    expect(output).toContain("a group of 2");
    // One that is left alone is a call like any other.
    expect((await worker.execBatch([call(numbered(5)), call(numbered(6), gone)])).map(shown)).toEqual([5, "CANCELED"]);
    expect(worker.calls).toBe(0);
  });

  test("go on for as long as somebody waits for one of them, whoever else leaves", async () => {
    const { worker, output } = await start();
    const folder = await mkdtemp(join(tmpdir(), "group-test-"));
    const path = join(folder, "end");
    const waiting = (number: number): InferRequest => {
      const request = numbered(number, "wait");
      return { ...request, parameters: { ...request.parameters, path } };
    };
    const [first, second] = [new AbortController(), new AbortController()];
    const batch = [call(waiting(1), first.signal), call(waiting(2), second.signal), call(waiting(3))];
    const outcomes = worker.execBatch(batch);
    await untilSaid(output, "a group of 3");
    for (const caller of [first, second]) caller.abort(new ServingError("CANCELED", "gone"));
    // Longer than a call that nobody waits for may go on, they do not.
    while (worker.calls > 1 && !worker.isStuck()) await Bun.sleep(5);
    expect(worker.calls).toBe(1);
    await writeFile(path, "");
    expect((await outcomes).map(shown)).toEqual(["CANCELED", "CANCELED", 3]);
    expect(worker.calls).toBe(0);
    await rm(folder, { recursive: true });
  });

  test("all fail when their process ends", async () => {
    const { worker } = await start();
    const outcomes = await worker.execBatch([call(numbered(1)), call(numbered(2, "crash"))]);
    expect(outcomes.map(shown)).toEqual(["ENGINE_CRASHED", "ENGINE_CRASHED"]);
  });
});
