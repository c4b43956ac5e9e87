import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { InferRequestSchema, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import { ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";
import { partFromTensor } from "../../proto/tensor.ts";
import type { BatchCall, Engine, EngineResult } from "../engine/engine.ts";
import { createBatchedEngine } from "./batched-engine.ts";

const never = new AbortController().signal;

/** Answers each call with nothing, and notes how many it got together. */
function build(batchUnit: "rows" | "requests") {
  const groups: number[] = [];
  const answer: EngineResult = { parts: [], status: Status.ONCE };
  const kind = { name: "x", tensor: { datatype: "UINT8", shape: [-1n] } };
  const inner: Engine = {
    start: async () => create(ServiceDefinitionSchema, { inputs: [kind], maxBatchRows: 4 }),
    infer: async () => answer,
    async inferBatch(calls: readonly BatchCall[]) {
      groups.push(calls.length);
      return calls.map(() => ({ status: "fulfilled", value: answer }));
    },
    async *stream() {},
    async stop() {},
  };
  const setTimer = (): (() => void) => () => {};
  const options = { lanes: 1, batchUnit, maxDelayMs: 0, now: () => performance.now(), setTimer, onGroup() {} };
  return { engine: createBatchedEngine(inner, options), groups };
}

const tensorOf = (size: number) =>
  create(InferRequestSchema, {
    parts: [partFromTensor("x", { datatype: "UINT8", shape: [size], data: new Uint8Array(size) })],
  });

async function askAll(engine: Engine, sizes: readonly number[]): Promise<readonly string[]> {
  await engine.start(never);
  const outcomes = await Promise.allSettled(sizes.map((size) => engine.infer(tensorOf(size), never)));
  return outcomes.map((outcome) => (outcome.status === "fulfilled" ? "answered" : outcome.reason.message));
}

describe("requests that are computed together", () => {
  test("count by the rows of their tensors, where these are joined", async () => {
    const { engine, groups } = build("rows");
    expect(await askAll(engine, [1, 3, 3, 1, 0])).toEqual([
      "answered",
      "answered",
      "answered",
      "answered",
      "payload.x: its shape has no rows",
    ]);
    expect(groups).toEqual([1, 1, 2]);
  });

  test("count one each for code that gets a list of them, whatever shape their tensors have", async () => {
    const { engine, groups } = build("requests");
    expect(await askAll(engine, [1, 30, 20, 10, 0])).toEqual(Array.from({ length: 5 }, () => "answered"));
    expect(groups).toEqual([1, 4]);
  });
});
