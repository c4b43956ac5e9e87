import { describe, expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { ServiceDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { compileService } from "./compile.ts";
import { mmocrDefinition } from "./mmocr.cases.ts";

function failureOf(changes: Partial<ServiceDefinition>): ServingError {
  try {
    compileService(mmocrDefinition(changes));
  } catch (error) {
    if (error instanceof ServingError) return error;
    throw error;
  }
  throw new Error("the definition was accepted");
}

const [input] = mmocrDefinition().inputs;
const [output] = mmocrDefinition().outputs;
if (input === undefined || output === undefined) throw new Error("the definition has an input and an output");

describe("compileService()", () => {
  test("keeps the order of inputs and outputs, and reads limits", () => {
    const optional = { ...input, name: "hint", type: PartType.TEXT, required: false, maxBytes: 0n };
    const service = compileService(mmocrDefinition({ inputs: [optional, input] }));
    expect(service.inputs.map(({ name, member, maxBytes }) => [name, member, maxBytes])).toEqual([
      ["hint", "text", Number.POSITIVE_INFINITY],
      ["data", "image", 10_485_760],
    ]);
    expect(service.outputs.map(({ name }) => name)).toEqual(["boxes"]);
    expect(service.sidPrefix).toBe("ase");
  });

  test("knows the types in which an answer's attributes show", () => {
    expect(compileService(mmocrDefinition()).outputTypes).toEqual(
      new Map([
        [
          "boxes",
          new Map([
            ["rate", "number"],
            ["final", "boolean"],
          ]),
        ],
      ]),
    );
  });

  test("reads a whole schema, or just the object of its properties, and tells them apart by their form", () => {
    const encoding = { type: "string", enum: ["jpg"] };
    for (const schema of [
      { encoding },
      { type: "object", properties: { encoding } },
      { properties: { encoding } },
      { encoding, type: { type: "string" }, properties: { type: "string" }, required: { type: "string" } },
    ]) {
      const service = compileService(
        mmocrDefinition({ inputs: [{ ...input, attributesSchema: JSON.stringify(schema) }] }),
      );
      const check = service.inputByName.get("data")?.checkAttributes;
      expect(check?.({ encoding: "jpg" })).toBeUndefined();
      expect(check?.({ encoding: "gif" })).toHaveLength(1);
      expect(check?.({ unknown: 1 })).toHaveLength(1);
    }
    const open = compileService(mmocrDefinition({ inputs: [{ ...input, attributesSchema: "{}" }] }));
    expect(open.inputByName.get("data")?.checkAttributes({ unknown: 1 })).toBeUndefined();
  });

  test.each<[string, Partial<ServiceDefinition>, string]>([
    ["text that is not JSON", { parametersSchema: "{" }, "'parameters_schema'"],
    ["a schema that is a number", { headerSchema: "5" }, "'header_schema'"],
    ["a type that does not exist", { headerSchema: '{"type":"strin"}' }, "'header_schema'"],
    ["a length below zero", { headerSchema: '{"type":"string","minLength":-1}' }, "'header_schema'"],
    ["a pattern that is none", { parametersSchema: '{"a":{"pattern":"("}}' }, "'parameters_schema'"],
    ["a reference to nothing", { parametersSchema: '{"$ref":"#/$defs/a"}' }, "'parameters_schema'"],
    ["a reference to a document elsewhere", { parametersSchema: '{"$ref":"http://e.x/s"}' }, "'parameters_schema'"],
    ["a reference that never ends", { parametersSchema: '{"$ref":"#"}' }, "'parameters_schema'"],
    ["brackets without an end", { parametersSchema: "[".repeat(200_000) }, "'parameters_schema'"],
    ["a very long schema", { parametersSchema: " ".repeat(300_000) }, "'parameters_schema'"],
    [
      "an input's broken attributes",
      { inputs: [{ ...input, attributesSchema: "[]" }] },
      "'inputs.data.attributes_schema'",
    ],
    [
      "an output's broken attributes",
      { outputs: [{ ...output, attributesSchema: '{"a":{"required":"a"}}' }] },
      "'outputs.boxes.attributes_schema'",
    ],
    ["an input without a type", { inputs: [{ ...input, type: PartType.UNSPECIFIED }] }, "'inputs.data.type'"],
    ["two outputs of one name", { outputs: [output, output] }, "'outputs' has two entries named 'boxes'"],
    [
      "a tensor of no datatype",
      { inputs: [{ ...input, tensor: { $typeName: "athena.v1.TensorDefinition", datatype: "FLOAT", shape: [] } }] },
      "'inputs.data.tensor'",
    ],
    ["an input with a bad name", { inputs: [{ ...input, name: "__proto__" }] }, "'inputs'"],
    ["too many inputs", { inputs: Array.from({ length: 257 }, () => input) }, "'inputs'"],
    ["a bad id", { id: "a/b" }, "'id'"],
  ])("refuses %s, naming the service and the key", (_, changes, key) => {
    const error = failureOf(changes);
    expect(error.reason).toBe("SERVICE_NOT_READY");
    expect(error.message).toContain(`service '${changes.id ?? "mmocr"}'`);
    expect(error.message).toContain(key);
    expect(error.message.length).toBeLessThan(500);
  });
});
