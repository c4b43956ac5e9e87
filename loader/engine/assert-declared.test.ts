import { describe, expect, test } from "bun:test";
import { assertDeclared, type DeclaredParts } from "./assert-declared.ts";
import { describeModel } from "./remote/oip/model.ts";
import { chatDefinition } from "./remote/openai/definition.ts";

const tensor = (name: string, datatype: string, shape: number[], required = true) => {
  return { name, datatype, shape, required, isBase64: false };
};
const model = describeModel(
  {
    platform: "",
    inputs: [tensor("text", "BYTES", [-1, 1]), tensor("numbers", "FP32", [3], false)],
    outputs: [tensor("texts", "BYTES", [2])],
    maxBatchRows: 0,
  },
  false,
);

describe("what service.yaml declares", () => {
  test("may be nothing, some of the model's, and a plain part for one element of BYTES", () => {
    for (const declared of [
      {},
      { inputs: { text: { type: "image" } } },
      { inputs: { text: { type: "other" }, numbers: { type: "other" } }, outputs: { texts: { type: "other" } } },
    ] satisfies DeclaredParts[]) {
      expect(() => assertDeclared("served", declared, model)).not.toThrow();
    }
    expect(() => assertDeclared("served", { outputs: { result: { type: "text" } } }, chatDefinition())).not.toThrow();
  });

  for (const [declared, message] of [
    [{ inputs: { txt: { type: "text" } } }, "inputs.txt is none of the model's, which has text, numbers"],
    [{ inputs: { numbers: { type: "other" } } }, "inputs lacks 'text', which the model needs"],
    [
      { inputs: { text: { type: "text" }, numbers: { type: "audio" } } },
      "inputs.numbers is of type audio, but the model's is a tensor of FP32 with the shape [3]",
    ],
    [{ outputs: { texts: { type: "text" } } }, "outputs.texts is of type text, but the model's is a tensor of BYTES"],
  ] satisfies (readonly [DeclaredParts, string])[]) {
    test(`is refused: ${message}`, () => {
      expect(() => assertDeclared("served", declared, model)).toThrow(`service 'served': in service.yaml ${message}`);
    });
  }

  test("must have the types that a chat has", () => {
    const declared = { outputs: { result: { type: "audio" } } };
    expect(() => assertDeclared("served", declared, chatDefinition())).toThrow("outputs.result is of type audio");
  });

  test("is all there is when the server tells nothing", () => {
    const bare = describeModel({ platform: "", inputs: [], outputs: [], maxBatchRows: 0 }, false);
    expect(() => assertDeclared("served", { inputs: { any: { type: "text" } } }, bare)).not.toThrow();
  });
});
