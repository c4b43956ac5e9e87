/**
 * Measures calls through the Python engine to wrappers that give back what they get:
 * `bun loader/engine/python/echo.bench.ts [bytes] [threads]`, 1024 bytes and 4 threads without them.
 */
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine } from "../engine.ts";
import { createPythonEngine } from "./engine.ts";

const wrappers = join(import.meta.dir, "../../../tests/fixtures/wrappers");
const never = new AbortController().signal;
const payloadBytes = Number(process.argv[2] ?? 1024);
const threads = Number(process.argv[3] ?? 4);

const request: InferRequest = {
  $typeName: "athena.v1.InferRequest",
  service: "echo",
  version: "",
  sid: "s",
  headers: {},
  parameters: {},
  expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.OTHER, attributes: {} }],
  parts: [
    {
      $typeName: "athena.v1.Part",
      name: "data",
      type: PartType.OTHER,
      attributes: {},
      data: new Uint8Array(payloadBytes),
    },
  ],
  resourceIds: [],
  priority: 0,
};

/** Milliseconds that `count` calls take, so many at once. */
async function run(engine: Engine, count: number, inFlight: number): Promise<number> {
  let begun = 0;
  const caller = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      await engine.infer({ ...request, sid: `s${begun}` }, never);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, caller));
  return performance.now() - start;
}

for (const wrapper of (process.argv[4] ?? "echo_legacy.py,echo_modern.py").split(",")) {
  const engine = createPythonEngine({
    service: "echo",
    wrapper: join(wrappers, wrapper),
    python: "python3",
    workers: 1,
    threads,
    config: {},
    startTimeoutMs: 20_000,
    logger: createLogger("bench", { write: () => {} }),
    onHealth: () => {},
    onProgress: () => {},
  });
  await engine.start(never);
  // The first calls run before anything is compiled.
  await run(engine, 2000, 32);
  for (let round = 1; round <= 3; round += 1) {
    const latencyMs = (await run(engine, 4000, 1)) / 4000;
    const callsPerSecond = 20_000 / ((await run(engine, 20_000, 32)) / 1000);
    process.stdout.write(
      `${wrapper}, round ${round}, ${threads} threads, ${payloadBytes} bytes: ${latencyMs.toFixed(4)} ms a call at 1 in flight, ` +
        `${Math.round(callsPerSecond)} calls/s at 32 in flight\n`,
    );
  }
  await engine.stop();
}
