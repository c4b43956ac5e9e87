import { describe, expect, test } from "bun:test";
import { compileService } from "../../schema/compile.ts";
import { tensorsDefinition } from "../../schema/tensors.cases.ts";
import { configurationFrom, metadataFrom } from "./metadata.ts";

const definition = tensorsDefinition();

describe("a model's metadata", () => {
  test("names its tensors as they are declared, and what is no tensor as one element of BYTES", () => {
    expect(metadataFrom(compileService(definition))).toEqual({
      name: "tensors",
      versions: ["1"],
      platform: "onnxruntime_onnx",
      inputs: [
        { name: "x", datatype: "FP32", shape: [-1, 2] },
        { name: "flags", datatype: "BOOL", shape: [-1] },
        { name: "note", datatype: "BYTES", shape: [1] },
      ],
      outputs: [
        { name: "y", datatype: "FP32", shape: [-1] },
        { name: "half", datatype: "FP16", shape: [-1] },
        { name: "note", datatype: "BYTES", shape: [1] },
      ],
    });
  });
});

describe("a model's configuration", () => {
  test("has no batches where something that goes in or out has no rows", () => {
    const { max_batch_size: rows, input } = configurationFrom(compileService({ ...definition, maxBatchRows: 8 }));
    expect(rows).toBe(0);
    expect(input.map(({ data_type, dims, optional }) => [data_type, dims, optional])).toEqual([
      ["TYPE_FP32", [-1, 2], false],
      ["TYPE_BOOL", [-1], true],
      ["TYPE_STRING", [1], true],
    ]);
  });

  test("leaves the rows out of the dimensions where there are batches", () => {
    const inputs = definition.inputs.slice(0, 2);
    const outputs = definition.outputs.slice(0, 2);
    const configuration = configurationFrom(compileService({ ...definition, inputs, outputs, maxBatchRows: 8 }));
    expect(configuration).toMatchObject({
      max_batch_size: 8,
      input: [
        { name: "x", dims: [2] },
        { name: "flags", dims: [] },
      ],
      output: [{ name: "y", data_type: "TYPE_FP32", dims: [] }, { name: "half" }],
    });
  });
});
