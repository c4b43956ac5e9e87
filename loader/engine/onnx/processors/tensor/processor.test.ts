import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type InferRequest, InferRequestSchema } from "../../../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../../../../proto/gen/athena/v1/part_pb.ts";
import { bytesFromElements, type Datatype, partFromTensor, tensorFromPart } from "../../../../../proto/tensor.ts";
import type { OnnxProcessor } from "../../processor.ts";
import { createProcessorContext } from "../../processor-context.ts";
import { createTensorProcessor } from "./processor.ts";

const models = join(import.meta.dir, "../../../../../tests/fixtures/models");

async function load(name: string, maxBatchRows?: number): Promise<{ processor: OnnxProcessor; progress: string[] }> {
  const progress: string[] = [];
  const config = { processor: "tensor", folder: models, threads: 1, provider: "cpu", deviceId: 0, options: {} };
  const context = createProcessorContext({ ...config, model: join(models, `${name}.onnx`), maxBatchRows });
  return { processor: await createTensorProcessor(context, (step) => progress.push(step)), progress };
}

const bytes = (array: { readonly buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer);

function part(name: string, datatype: Datatype, shape: readonly number[], data: Uint8Array): Part {
  return partFromTensor(name, { datatype, shape, data });
}

const request = (...parts: Part[]): InferRequest => create(InferRequestSchema, { parts });
const ids = (...numbers: bigint[]): InferRequest =>
  request(part("id", "INT64", [numbers.length], bytes(new BigInt64Array(numbers))));

function floats(parts: readonly Part[] | undefined): number[] {
  const data = parts?.[0]?.data.slice() ?? new Uint8Array();
  return Array.from(new Float32Array(data.buffer));
}

/** Rows of eight numbers for the perceptron. */
function numbers(rows: number, seed: number): InferRequest {
  const data = Float32Array.from({ length: rows * 8 }, (_, index) => Math.sin(index * 7.1 + seed * 1.3) * 3);
  return request(part("x", "FP32", [rows, 8], bytes(data)));
}

describe("a model without code", () => {
  test("tells its inputs, outputs, types and shapes", async () => {
    const { processor } = await load("perceptron");
    expect(processor.description).toMatchObject({
      inputs: [{ name: "x", required: true, tensor: { datatype: "FP32", shape: [-1n, 8n] } }],
      outputs: [{ name: "y", tensor: { datatype: "FP32", shape: [-1n, 4n] } }],
      once: true,
      stream: false,
      platform: "onnxruntime_onnx",
      maxBatchRows: 32,
    });
    await processor.release();
  });

  test("takes and gives every type of the runtime, to the bit", async () => {
    const { processor } = await load("identities");
    const half = [0x00, 0x3c, 0x01, 0xfc];
    const data: Record<string, [Datatype, Uint8Array]> = {
      bool: ["BOOL", new Uint8Array([1, 0])],
      int8: ["INT8", bytes(new Int8Array([-128, 127]))],
      int16: ["INT16", bytes(new Int16Array([-32768, 32767]))],
      int32: ["INT32", bytes(new Int32Array([-2147483648, 2147483647]))],
      int64: ["INT64", bytes(new BigInt64Array([-9223372036854775808n, 9223372036854775807n]))],
      uint8: ["UINT8", new Uint8Array([0, 255])],
      uint16: ["UINT16", bytes(new Uint16Array([0, 65535]))],
      uint32: ["UINT32", bytes(new Uint32Array([0, 4294967295]))],
      uint64: ["UINT64", bytes(new BigUint64Array([0n, 18446744073709551615n]))],
      float16: ["FP16", new Uint8Array(half)],
      float: ["FP32", bytes(new Float32Array([Number.NaN, -0]))],
      double: ["FP64", bytes(new Float64Array([Number.POSITIVE_INFINITY, 5e-324]))],
      string: ["BYTES", bytesFromElements([Buffer.from("größer"), Buffer.from("")])],
    };
    const parts = Object.entries(data).map(([name, [datatype, value]]) => part(name, datatype, [1, 2], value));
    // Frames begin their data anywhere.
    const shifted = parts.map((one) => ({ ...one, data: Buffer.concat([Buffer.alloc(1), one.data]).subarray(1) }));
    const answer = await processor.infer(request(...shifted));
    for (const [name, [datatype, value]] of Object.entries(data)) {
      const out = answer.find((one) => one.name === `${name}_out`);
      expect(out?.attributes).toEqual({ datatype, shape: "[1,2]" });
      expect(Buffer.from(out?.data ?? []).toString("hex")).toBe(Buffer.from(value).toString("hex"));
    }
    await processor.release();
  });

  test("names the part that is missing, of the wrong type or shape, or not text", async () => {
    const { processor } = await load("perceptron");
    const refused = (...parts: Part[]) => processor.infer(request(...parts));
    await expect(refused()).rejects.toThrow("payload.x is missing");
    await expect(refused(part("x", "FP64", [1, 8], new Uint8Array(64)))).rejects.toThrow(
      "payload.x: datatype must be FP32, got FP64",
    );
    await expect(refused(part("x", "FP32", [1, 7], new Uint8Array(28)))).rejects.toThrow(
      "payload.x: shape must be [-1,8], got [1,7]",
    );
    await processor.release();
  });

  test("says in the runtime's words what it cannot compute, and goes on", async () => {
    const { processor } = await load("lookup");
    const failure = await processor.infer(ids(10n)).catch((error: Error) => error.message);
    expect(failure).toStartWith("the model cannot compute this input: indices element out of data bounds, idx=10");
    expect(failure).not.toMatch(/\/|\n/);
    expect(floats(await processor.infer(ids(9n)))).toEqual([36, 37, 38, 39]);
    await processor.release();
  });
});

describe("rows that are computed together", () => {
  test("come out as they do alone, to the bit, in whatever company", async () => {
    const { processor } = await load("perceptron");
    const requests = [numbers(1, 1), numbers(3, 2), numbers(2, 3), numbers(1, 4)];
    const together = await processor.inferBatch?.(requests);
    for (const [index, one] of requests.entries()) {
      const outcome = together?.[index];
      const alone = await processor.infer(one);
      expect(outcome).toEqual({ status: "fulfilled", value: alone });
    }
    await processor.release();
  });

  test("of one bad request fail alone", async () => {
    const { processor } = await load("lookup");
    const outcomes = await processor.inferBatch?.([ids(1n), ids(2n, 99n), ids(3n, 4n)]);
    expect(outcomes?.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const last = outcomes?.[2];
    expect(last?.status === "fulfilled" ? floats(last.value) : []).toEqual([12, 13, 14, 15, 16, 17, 18, 19]);
    await processor.release();
  });

  test("are cut when one request has more than are computed at once", async () => {
    const { processor } = await load("lookup", 4);
    const all = Array.from({ length: 10 }, (_, index) => BigInt(index));
    expect(floats(await processor.infer(ids(...all)))).toEqual(Array.from({ length: 40 }, (_, index) => index));
    await processor.release();
  });

  test("of several inputs, and of texts, keep their order", async () => {
    const sum = await load("two-inputs");
    const pair = (x: number[], y: number[]): InferRequest =>
      request(
        part("x", "FP32", [x.length / 2, 2], bytes(new Float32Array(x))),
        part("y", "FP32", [y.length / 2, 2], bytes(new Float32Array(y))),
      );
    const outcomes = await sum.processor.inferBatch?.([pair([1, 2], [10, 20]), pair([3, 4, 5, 6], [1, 1, 2, 2])]);
    expect(outcomes?.map((one) => (one.status === "fulfilled" ? floats(one.value) : one.reason))).toEqual([
      [11, 22],
      [4, 5, 7, 8],
    ]);
    await sum.processor.release();
  });

  test("are not computed together where they depend on each other, or their number is fixed", async () => {
    for (const name of ["cumulative", "fixed"]) {
      const { processor } = await load(name);
      expect(processor.description?.maxBatchRows).toBe(0);
      await processor.release();
    }
    const forced = await load("cumulative", 8);
    expect(forced.processor.description?.maxBatchRows).toBe(8);
    expect(forced.progress.join()).toContain("rows that are computed together differ");
    await forced.processor.release();
    await expect(load("fixed", 8)).rejects.toThrow("batching.maxRows: the model's first dimension is not of any size");
    const off = await load("perceptron", 1);
    expect(off.processor.description?.maxBatchRows).toBe(0);
    await off.processor.release();
  });

  test("have the shape that their data has when a caller does not tell it", async () => {
    const { processor } = await load("perceptron");
    const data = bytes(new Float32Array(16));
    const bare = { ...part("x", "FP32", [2, 8], data), attributes: {} };
    const [y] = await processor.infer(request(bare));
    expect(tensorFromPart(y ?? bare, { datatype: "FP32", shape: [-1, 4] }).shape).toEqual([2, 4]);
    await processor.release();
  });
});
