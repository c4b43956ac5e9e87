import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { InferResponseSchema } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { partFromTensor } from "../../../proto/tensor.ts";
import { compileService } from "../../schema/compile.ts";
import { tensorsDefinition } from "../../schema/tensors.cases.ts";
import type { TensorRequest } from "../../types.ts";
import { answerFromResponse } from "./answer.ts";
import { encodeRestAnswer } from "./encode-answer.ts";
import { encodeGrpcAnswer } from "./grpc-answer.ts";

const service = compileService(tensorsDefinition());
const floats = new Uint8Array(new Float32Array([1, 0.5]).buffer);
const y = partFromTensor("y", { datatype: "FP32", shape: [2], data: floats });
const place = { seq: "0", status: "3" };
const note: Part = {
  $typeName: "athena.v1.Part",
  name: "note",
  type: PartType.TEXT,
  attributes: { encoding: "utf8", ...place },
  data: new TextEncoder().encode("hé"),
};

const request = (changes: Partial<TensorRequest> = {}): TensorRequest => ({
  header: {},
  id: "7",
  parameters: {},
  inputs: [],
  rawInput: undefined,
  outputs: undefined,
  binaryOutputs: false,
  priority: 0,
  timeoutMs: undefined,
  ...changes,
});
const answerOf = (parts: Part[], changes: Partial<TensorRequest> = {}) =>
  answerFromResponse(service, create(InferResponseSchema, { version: "1", parts }), request(changes));

describe("an answer over REST", () => {
  test("is JSON where nobody asked for more", () => {
    const { json, binary } = encodeRestAnswer(answerOf([{ ...y, attributes: { ...y.attributes, ...place } }, note]));
    expect(binary).toBeUndefined();
    expect(JSON.parse(json)).toEqual({
      model_name: "tensors",
      model_version: "1",
      id: "7",
      outputs: [
        { name: "y", datatype: "FP32", shape: [2], data: [1, 0.5] },
        { name: "note", datatype: "BYTES", shape: [1], parameters: { encoding: "utf8" }, data: ["hé"] },
      ],
    });
  });

  test("has the outputs that were asked for, in that order, and those that were wanted so as views of raw data", () => {
    const outputs = [
      { name: "note", parameters: {}, binary: true },
      { name: "y", parameters: {}, binary: true },
    ];
    const { json, binary } = encodeRestAnswer(answerOf([y, note], { outputs, id: "" }));
    expect(JSON.parse(json)).toEqual({
      model_name: "tensors",
      model_version: "1",
      outputs: [
        { name: "note", datatype: "BYTES", shape: [1], parameters: { encoding: "utf8", binary_data_size: 7 } },
        { name: "y", datatype: "FP32", shape: [2], parameters: { binary_data_size: 8 } },
      ],
    });
    expect(binary).toEqual([new Uint8Array([3, 0, 0, 0]), note.data, floats]);
    expect(binary?.[2]).toBe(floats);
  });

  test("says how else to ask for what JSON cannot hold", () => {
    const notANumber = { ...y, data: new Uint8Array(new Float32Array([Number.NaN, 1]).buffer) };
    const words = "outputs.y: it has values that are not finite; ask for it with the parameter binary_data";
    expect(() => encodeRestAnswer(answerOf([notANumber]))).toThrow(words);
    expect(() => encodeRestAnswer(answerOf([{ ...note, data: new Uint8Array([0xff]) }]))).toThrow(
      "outputs.note: it has bytes",
    );
  });
});

test("an answer over gRPC is raw, with what the engine says about an output as its parameters", () => {
  expect(encodeGrpcAnswer(answerOf([y, note]))).toMatchObject({
    modelName: "tensors",
    id: "7",
    outputs: [
      { name: "y", datatype: "FP32", shape: [2n], parameters: {} },
      { name: "note", datatype: "BYTES", parameters: { encoding: { parameterChoice: { value: "utf8" } } } },
    ],
    rawOutputContents: [floats, Buffer.from([3, 0, 0, 0, ...note.data])],
  });
});

describe("answerFromResponse()", () => {
  test("refuses what an engine may not answer, and names the output", () => {
    const outputs = [{ name: "half", parameters: {}, binary: true }];
    expect(() => answerOf([y], { outputs })).toThrow("outputs.half: is missing in the engine's answer");
    const other = { ...y, attributes: { ...y.attributes, datatype: "FP64" } };
    expect(() => answerOf([other])).toThrow("outputs.y: datatype must be FP32, got FP64");
    expect(() => answerOf([{ ...y, data: floats.subarray(1) }])).toThrow("outputs.y: 8 bytes expected");
  });

  test("computes the shape that an engine did not state", () => {
    expect(answerOf([{ ...y, attributes: {} }]).outputs).toMatchObject([{ datatype: "FP32", shape: [2] }]);
  });
});
