import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import { InferRequestSchema, InferResponseSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { partFromTensor } from "../../proto/tensor.ts";
import { compileService } from "../schema/compile.ts";
import { tensorsDefinition } from "../schema/tensors.cases.ts";
import { createStatistics } from "./statistics.ts";

const service = compileService(tensorsDefinition({ maxBatchRows: 8 }));
const rows = partFromTensor("x", { datatype: "FP32", shape: [3, 2], data: new Uint8Array(24) });
const request = create(InferRequestSchema, { service: "tensors", parts: [rows] });
const response = (version: string) => create(InferResponseSchema, { version, queueUs: 2, computeUs: 5 });

function setUp() {
  let time = 0;
  const statistics = createStatistics({ now: () => time, date: () => 1000 + time });
  const call = (version: string, tookMs: number) =>
    statistics.watch(request, service, async () => {
      time += tookMs;
      return response(version);
    });
  const fail = (tookMs: number) =>
    statistics.watch(request, service, async () => {
      time += tookMs;
      throw new ServingError("SERVICE_BUSY", "busy");
    });
  return { statistics, call, fail };
}

describe("a service's statistics", () => {
  test("count calls, their rows and their times, as gateway and loader saw them", async () => {
    const { statistics, call, fail } = setUp();
    expect((await call("1", 4)).queueUs).toBe(2);
    await call("1", 1);
    await expect(fail(2)).rejects.toThrow("busy");
    expect(statistics.read()).toEqual([
      {
        version: "1",
        lastInferenceMs: 1005,
        inferences: 6,
        success: { count: 2, ns: 5_000_000 },
        fail: { count: 1, ns: 2_000_000 },
        queue: { count: 2, ns: 4000 },
        compute: { count: 2, ns: 10_000 },
      },
    ]);
  });

  test("tell versions apart, and keep those that were called last", async () => {
    const { statistics, call } = setUp();
    for (let version = 1; version <= 40; version++) await call(String(version), 1);
    const versions = statistics.read().map(({ version }) => version);
    expect(versions).toHaveLength(16);
    expect(versions.at(-1)).toBe("40");
  });

  test("count a request of a service without rows as one", async () => {
    const statistics = createStatistics({ now: () => 0, date: () => 0 });
    await statistics.watch(request, compileService(tensorsDefinition()), async () => response("1"));
    expect(statistics.read()[0]?.inferences).toBe(1);
  });
});
