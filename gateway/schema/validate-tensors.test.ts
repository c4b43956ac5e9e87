import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { InputDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";
import { bytesFromElements } from "../../proto/tensor.ts";
import type { InputTensor, TensorRequest } from "../types.ts";
import { compileService } from "./compile.ts";
import { tensorsDefinition } from "./tensors.cases.ts";
import { validateTensorChunk, validateTensors } from "./validate-tensors.ts";

const service = compileService(tensorsDefinition());
const withRows = compileService(tensorsDefinition({ maxBatchRows: 8 }));

const x: InputTensor = { name: "x", datatype: "FP32", shape: [2, 2], parameters: {}, data: new Uint8Array(16) };
const flags: InputTensor = { ...x, name: "flags", datatype: "BOOL", shape: [3], data: new Uint8Array(3) };
const noteOf = (text: string): InputTensor => {
  const data = bytesFromElements([new TextEncoder().encode(text)]);
  return { ...x, name: "note", datatype: "BYTES", shape: [1], data };
};
const good: TensorRequest = {
  header: {},
  id: "",
  parameters: {},
  inputs: [x],
  rawInput: undefined,
  outputs: undefined,
  binaryOutputs: true,
  priority: 0,
  timeoutMs: undefined,
};

function failureOf(changes: Partial<TensorRequest>, of = service): ServingError {
  try {
    validateTensors(of, { ...good, ...changes }, "sid");
  } catch (error) {
    if (error instanceof ServingError) return error;
    throw error;
  }
  throw new Error("the request was accepted");
}

describe("validateTensors()", () => {
  test("makes tensors parts with their datatype and shape, in the definition's order, without a copy", () => {
    const inputs = [{ ...flags, parameters: { a: 1.5, datatype: "no" } }, x];
    const request = validateTensors(service, { ...good, inputs, parameters: { seed: 5 }, priority: 7 }, "ase1");
    expect(request).toMatchObject({
      service: "tensors",
      sid: "ase1",
      parameters: { seed: "5" },
      priority: 7,
      headers: {},
    });
    expect(request.parts).toMatchObject([
      { name: "x", type: PartType.OTHER, attributes: { datatype: "FP32", shape: "[2,2]" } },
      { name: "flags", type: PartType.OTHER, attributes: { a: "1.5", datatype: "BOOL", shape: "[3]" } },
    ]);
    expect(request.parts[0]?.data).toBe(x.data);
  });

  test("makes one element of BYTES the data of a part that is no tensor", () => {
    const note = { ...noteOf("héllo"), parameters: { encoding: "utf8" } };
    const part = validateTensors(service, { ...good, inputs: [x, note] }, "s").parts[1];
    expect(part).toMatchObject({ name: "note", type: PartType.TEXT, attributes: { encoding: "utf8" } });
    expect(new TextDecoder().decode(part?.data)).toBe("héllo");
    expect(part?.data.buffer).toBe(note.data.buffer);
  });

  test("tells engines the caller's app under both of its names, where it is known", () => {
    const request = validateTensors(service, { ...good, header: { app_id: "123456" } }, "s");
    expect(request.headers).toEqual({ app_id: "123456", appid: "123456" });
  });

  test("expects every output, each as the caller wants it", () => {
    const outputs = [{ name: "note", parameters: { format: "json" }, binary: true }];
    expect(validateTensors(service, { ...good, outputs }, "s").expects).toMatchObject([
      { name: "y", attributes: {} },
      { name: "half", attributes: {} },
      { name: "note", attributes: { encoding: "utf8", format: "json" } },
    ]);
  });

  const mistakes: readonly (readonly [string, Partial<TensorRequest>, string])[] = [
    ["a missing input", { inputs: [] }, "inputs.x: is required"],
    ["an unknown input", { inputs: [x, { ...x, name: "z" }] }, "inputs.z: unknown, must be one of [x, flags, note]"],
    ["an input that stands twice", { inputs: [x, x] }, "inputs.x: stands twice"],
    ["another datatype", { inputs: [{ ...x, datatype: "INT32" }] }, "inputs.x: datatype must be FP32, got INT32"],
    ["another rank", { inputs: [{ ...x, shape: [4] }] }, "inputs.x: shape must be [-1,2], got [4]"],
    ["another size", { inputs: [{ ...x, shape: [1, 4] }] }, "inputs.x: shape must be [-1,2], got [1,4]"],
    ["too little data", { inputs: [{ ...x, data: new Uint8Array(12) }] }, "inputs.x: 16 bytes expected"],
    [
      "a note of two elements",
      { inputs: [x, { ...noteOf("a"), shape: [2] }] },
      "inputs.note: must be one element of BYTES",
    ],
    [
      "a note that is cut off",
      { inputs: [x, { ...noteOf("a"), data: new Uint8Array([9, 0]) }] },
      "inputs.note: must be",
    ],
    [
      "a note that is no BYTES",
      { inputs: [x, { ...noteOf("a"), datatype: "UINT8" }] },
      "inputs.note: must be one element",
    ],
    [
      "a note's unknown attribute",
      { inputs: [x, { ...noteOf("a"), parameters: { encoding: "x" } }] },
      "inputs.note.parameters.encoding",
    ],
    ["an unknown parameter", { parameters: { colour: "red" } }, "'parameters.colour' unknown field"],
    ["a parameter of another type", { parameters: { seed: "x" } }, "'parameters.seed' type must be integer"],
    [
      "an unknown output",
      { outputs: [{ name: "z", parameters: {}, binary: true }] },
      "outputs.z: unknown, must be one of [y",
    ],
    [
      "an output that stands twice",
      { outputs: [1, 2].map(() => ({ name: "y", parameters: {}, binary: true })) },
      "outputs.y: stands twice",
    ],
    ["16-bit floats as JSON", { binaryOutputs: false }, "outputs.half: FP16 has no JSON form"],
  ];
  test.each(mistakes)("refuses %s and names the field", (_, changes, message) => {
    const error = failureOf(changes);
    expect(error.message).toContain(message);
    expect(error.reason).toBe("SCHEMA_VIOLATION");
  });

  test("refuses more bytes than an input takes as too large", () => {
    expect(failureOf({ inputs: [x, { ...flags, shape: [5], data: new Uint8Array(5) }] }).reason).toBe(
      "PAYLOAD_TOO_LARGE",
    );
    expect(failureOf({ inputs: [x, noteOf("12345678901")] }).reason).toBe("PAYLOAD_TOO_LARGE");
  });

  test("wants as many rows of every input where the service computes rows together", () => {
    const two = { ...flags, shape: [2], data: new Uint8Array(2) };
    expect(validateTensors(withRows, { ...good, inputs: [x, two] }, "s").parts).toHaveLength(2);
    expect(failureOf({ inputs: [x, flags] }, withRows).message).toContain("inputs.flags: must have 2 rows");
  });

  test("asks for 16-bit floats as JSON of nobody who did not want that output", () => {
    const outputs = [{ name: "y", parameters: {}, binary: false }];
    expect(() => validateTensors(service, { ...good, outputs, binaryOutputs: false }, "s")).not.toThrow();
  });
});

describe("validateTensors() of raw data", () => {
  const serviceOf = (datatype: string, shape: number[], maxBatchRows = 0) => {
    const tensor = { datatype, shape: shape.map(BigInt) };
    const input = create(InputDefinitionSchema, { name: "in", type: PartType.OTHER, required: true, tensor });
    return compileService(tensorsDefinition({ inputs: [input], maxBatchRows }));
  };
  const shapeOf = (of: ReturnType<typeof serviceOf>, length: number) =>
    validateTensors(of, { ...good, inputs: [], rawInput: new Uint8Array(length) }, "s").parts[0]?.attributes.shape;

  test("computes the one size that is open", () => {
    expect(shapeOf(serviceOf("FP32", [-1, 2]), 24)).toBe("[3,2]");
    expect(shapeOf(serviceOf("FP32", [1, -1], 8), 12)).toBe("[1,3]");
    expect(shapeOf(serviceOf("FP32", [-1, -1], 8), 12)).toBe("[1,3]");
    expect(shapeOf(serviceOf("UINT8", [4]), 4)).toBe("[4]");
  });

  test("is one element of BYTES, and the data of a part that is no tensor", () => {
    const rawInput = new TextEncoder().encode("abc");
    const [part] = validateTensors(serviceOf("BYTES", [-1]), { ...good, inputs: [], rawInput }, "s").parts;
    expect(part).toMatchObject({
      attributes: { shape: "[1]", datatype: "BYTES" },
      data: bytesFromElements([rawInput]),
    });
    const plain = create(InputDefinitionSchema, { name: "in", type: PartType.IMAGE, required: true });
    const images = compileService(tensorsDefinition({ inputs: [plain] }));
    expect(validateTensors(images, { ...good, inputs: [], rawInput }, "s").parts[0]?.data).toBe(rawInput);
  });

  test("is refused where it does not fit, or the service has several inputs", () => {
    const raw = { inputs: [], rawInput: new Uint8Array(3) };
    expect(failureOf(raw, serviceOf("FP32", [-1])).message).toContain("inputs.in: shape");
    expect(failureOf(raw, serviceOf("FP32", [-1, -1])).message).toContain("inputs.in: shape");
    expect(failureOf(raw).message).toContain("raw data is for services with one input; 'tensors' has 3");
  });
});

describe("a sequence", () => {
  test("may begin without inputs that are required, and its later requests have inputs alone", () => {
    expect(validateTensors(service, { ...good, inputs: [] }, "sid", { isOpening: true }).parts).toEqual([]);
    expect(failureOf({ inputs: [] }).message).toBe("inputs.x: is required");
    const parts = validateTensorChunk(service, { ...good, inputs: [flags], parameters: { nothing: 1 } });
    expect(parts.map(({ name }) => name)).toEqual(["flags"]);
    expect(() => validateTensorChunk(service, { ...good, inputs: [{ ...x, shape: [2] }] })).toThrow("inputs.x: shape");
  });
});

describe("personal resources", () => {
  const withResources = compileService(tensorsDefinition({ personalResources: true }));

  test("are named by a parameter, which the engine gets as a header", () => {
    const { resourceIds, headers, parameters } = validateTensors(
      withResources,
      { ...good, parameters: { res_id: "7,8", patch_id: 9, seed: 1 } },
      "sid",
    );
    expect({ resourceIds, headers, parameters }).toEqual({
      resourceIds: [7, 8, 9],
      headers: { res_id: "7;8", patch_id: "9" },
      parameters: { seed: "1" },
    });
  });

  test("are refused by name where they are no ids, and by services that take none", () => {
    expect(failureOf({ parameters: { res_id: true } }, withResources).message).toContain("'parameters.res_id' must be");
    expect(failureOf({ parameters: { res_id: 7 } }).message).toContain("res_id");
  });
});
