/**
 * Measures calls between a loader and one Bun worker that gives back what it gets: `bun loader/engine/host/round-trip.bench.ts`.
 * An optional argument is the payload's size in bytes, 1024 without one.
 */
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { createLogger } from "../../../config/logger.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { createSupervisor } from "./supervisor.ts";

const never = new AbortController().signal;
const payloadBytes = Number(process.argv[2] ?? 1024);
const supervisor = createSupervisor({
  service: "echo",
  command: [process.execPath, join(import.meta.dir, "fixture-worker.ts")],
  env: childEnvironment(),
  config: {},
  workers: 1,
  startTimeoutMs: 20_000,
  stopGraceMs: 1000,
  cancelGraceMs: 1000,
  maxFrameBytes: 64_000_000,
  logger: createLogger("bench", { write: () => {} }),
  now: () => performance.now(),
  random: () => 0,
  onHealth: () => {},
  onProgress: () => {},
});
const data = new Uint8Array(payloadBytes);
const request: InferRequest = {
  $typeName: "athena.v1.InferRequest",
  service: "echo",
  version: "",
  sid: "s",
  headers: {},
  parameters: {},
  expects: [],
  parts: [{ $typeName: "athena.v1.Part", name: "data", type: PartType.OTHER, attributes: {}, data }],
  resourceIds: [],
  priority: 0,
};

/** Milliseconds that `count` calls take, so many at once. */
async function run(count: number, inFlight: number): Promise<number> {
  let begun = 0;
  const caller = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      await supervisor.infer(request, never);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: inFlight }, caller));
  return performance.now() - start;
}

await supervisor.start(never);
// The first calls run before anything is compiled.
await run(5000, 32);
for (let round = 1; round <= 3; round += 1) {
  const latencyMs = (await run(10_000, 1)) / 10_000;
  const callsPerSecond = 60_000 / ((await run(60_000, 32)) / 1000);
  process.stdout.write(
    `round ${round}, ${payloadBytes} bytes: ${latencyMs.toFixed(4)} ms a call at 1 in flight, ` +
      `${Math.round(callsPerSecond)} calls/s at 32 in flight\n`,
  );
}
await supervisor.stop();
