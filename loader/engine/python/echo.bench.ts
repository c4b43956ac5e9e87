/**
 * Measures calls through the engine interface to code that gives back what it gets: a wrapper of the predecessor, a function
 * of the module athena, one on an event loop, and for comparison a worker written for Bun, in turns.
 *
 * `bun loader/engine/python/echo.bench.ts [bytes] [threads]`, 1024 bytes and 32 threads without them.
 */
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { createLogger } from "../../../config/logger.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine } from "../engine.ts";
import { createSupervisedEngine } from "../host/supervised-engine.ts";
import { createPythonEngine } from "./engine.ts";

const payloadBytes = Number(process.argv[2] ?? 1024);
const threads = Number(process.argv[3] ?? 32);
const rounds = 5;
const never = new AbortController().signal;
const wrappers = join(import.meta.dir, "../../../tests/fixtures/wrappers");

const common = {
  service: "echo",
  startTimeoutMs: 20_000,
  logger: createLogger("bench", { write: () => {} }),
  onHealth: () => {},
  onProgress: () => {},
};

function pythonEngine(wrapper: string): Engine {
  return createPythonEngine({
    ...common,
    wrapper: join(wrappers, wrapper),
    python: "python3",
    workers: 1,
    threads,
    config: {},
  });
}

const sides: Readonly<Record<string, Engine>> = {
  "Bun worker": createSupervisedEngine(common, () => ({
    command: [process.execPath, join(import.meta.dir, "../host/fixture-worker.ts")],
    env: childEnvironment(),
    config: {},
    workers: 1,
    callsPerWorker: threads,
  })),
  wrapper: pythonEngine("echo_legacy.py"),
  athena: pythonEngine("echo_modern.py"),
  "athena, async": pythonEngine("echo_async.py"),
};

const data = new Uint8Array(payloadBytes);

function requestOf(sid: string): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "echo",
    version: "",
    sid,
    headers: {},
    parameters: {},
    expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.OTHER, attributes: {} }],
    parts: [{ $typeName: "athena.v1.Part", name: "data", type: PartType.OTHER, attributes: {}, data }],
    resourceIds: [],
    priority: 0,
  };
}

/** Milliseconds that `count` calls take, so many at once. */
async function run(engine: Engine, count: number, inFlight: number): Promise<number> {
  let begun = 0;
  const caller = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      const { parts } = await engine.infer(requestOf(`s${begun}`), never);
      if (parts[0]?.data.length !== payloadBytes) throw new Error("an answer is not what was sent");
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, caller));
  return performance.now() - start;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const results = new Map<string, { readonly latencyMs: number[]; readonly callsPerSecond: number[] }>();
for (const [name, engine] of Object.entries(sides)) {
  await engine.start(never);
  // The first calls run before anything is compiled.
  await run(engine, 3000, 32);
  results.set(name, { latencyMs: [], callsPerSecond: [] });
}
for (let round = 0; round < rounds; round += 1) {
  for (const [name, engine] of Object.entries(sides)) {
    results.get(name)?.latencyMs.push((await run(engine, 2000, 1)) / 2000);
    results.get(name)?.callsPerSecond.push(10_000 / ((await run(engine, 10_000, 32)) / 1000));
  }
}
process.stdout.write(`${payloadBytes} bytes, ${threads} threads, median of ${rounds} rounds\n`);
for (const [name, { latencyMs, callsPerSecond }] of results) {
  const latency = median(latencyMs).toFixed(3);
  const rate = Math.round(median(callsPerSecond));
  process.stdout.write(`${name}: ${latency} ms a call at 1 in flight, ${rate} calls/s at 32 in flight\n`);
}
await Promise.all(Object.values(sides).map((engine) => engine.stop()));
