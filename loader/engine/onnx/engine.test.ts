import { describe, expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { drawText } from "../../../tests/fixtures/drawn-text.ts";
import { describeEngine } from "../engine.cases.ts";
import type { Engine } from "../engine.ts";
import { createOnnxEngine, type OnnxEngineOptions, onnxWorkers } from "./engine.ts";

const never = new AbortController().signal;

function build(changes: Partial<OnnxEngineOptions> = {}): Engine {
  return createOnnxEngine({
    service: "mmocr",
    folder: import.meta.dir,
    processor: "text-recognition",
    workers: 1,
    threads: 1,
    provider: "cpu",
    options: {},
    startTimeoutMs: 30_000,
    logger: createLogger("test", { write: () => {} }),
    onHealth: () => {},
    onProgress: () => {},
    ...changes,
  });
}

async function picture(width: number, height: number): Promise<InferRequest> {
  const lines = [{ text: "Hello", x: 20, y: 80, size: 60 }];
  const data = await drawText({ width, height, background: "white", lines });
  return {
    $typeName: "athena.v1.InferRequest",
    service: "mmocr",
    version: "",
    sid: "s",
    headers: {},
    parameters: {},
    expects: [],
    parts: [{ $typeName: "athena.v1.Part", name: "data", type: PartType.IMAGE, attributes: {}, data }],
    resourceIds: [],
    priority: 0,
  };
}

describeEngine("onnx", {
  create: () => build(),
  quick: () => picture(220, 120),
  slow: () => picture(2000, 1500),
});

describe("createOnnxEngine()", () => {
  test("does not start where service.yaml declares other inputs or outputs than the model has, and names one", async () => {
    const model = join(import.meta.dir, "../../../tests/fixtures/models/perceptron.onnx");
    const other = { type: "other" };
    const start = async (declared: OnnxEngineOptions["declared"]) => {
      const engine = build({ processor: "tensor", model, declared });
      const outcome = await engine.start(never).then(
        () => "started",
        (error: Error) => error.message,
      );
      await engine.stop();
      return outcome;
    };
    expect(await start({ inputs: { x: other }, outputs: { y: other } })).toBe("started");
    expect(await start({ inputs: { data: other } })).toContain("inputs.data is none of the model's, which has x");
    expect(await start({ inputs: {} })).toContain("inputs lacks 'x', which the model needs");
    expect(await start({ outputs: { z: other } })).toContain("outputs.z is none of the model's, which has y");
  });

  test("reads a picture in a process of its own", async () => {
    const engine = build();
    await engine.start(never);
    const { parts } = await engine.infer(await picture(220, 120), never);
    expect(JSON.parse(new TextDecoder().decode(parts[0]?.data))).toMatchObject([{ result: [{ text: "Hello" }] }]);
    await engine.stop();
  });

  test("says what is wrong in its definition before it starts a process", async () => {
    await expect(build({ processor: "magic" }).start(never)).rejects.toThrow("engine.processor: there is no 'magic'");
    await expect(build({ provider: "CPU" }).start(never)).rejects.toThrow(
      "engine.provider: 'CPU' is not one of cpu, cuda",
    );
  });

  test("does not fall back silently from a device that is not there", async () => {
    await expect(build({ provider: "cuda" }).start(never)).rejects.toThrow("engine.provider: 'cuda' cannot be used");
  });

  test("computes one call in each of its workers, one for each core unless told", () => {
    expect(onnxWorkers({ workers: 3, provider: "cuda" })).toBe(3);
    expect(onnxWorkers({ workers: 0, provider: "cpu" })).toBe(availableParallelism());
    expect(onnxWorkers({ workers: 0, provider: "cuda" })).toBe(1);
  });
});
