import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../proto/gen/athena/v1/service_pb.ts";
import { envelopeFrom, partFrom, testValuesFrom } from "./test-values.ts";

const utf8 = new TextEncoder();
const valuesOf = (definition: MessageInitShape<typeof ServiceDefinitionSchema>) =>
  testValuesFrom(create(ServiceDefinitionSchema, { id: "s", ...definition }));

describe("testValuesFrom()", () => {
  test("takes the inputs' examples, and leaves out what has none and need not be there", () => {
    const { inputs } = valuesOf({
      inputs: [
        { name: "text", type: PartType.TEXT, required: true, example: utf8.encode("hi") },
        { name: "hint", type: PartType.AUDIO },
      ],
    });
    expect(inputs).toEqual([{ name: "text", type: PartType.TEXT, attributes: {}, data: utf8.encode("hi") }]);
  });

  test("says which input has no example", () => {
    const inputs = [{ name: "image", type: PartType.IMAGE, required: true }];
    expect(() => valuesOf({ inputs })).toThrow("inputs.image.example");
  });

  test("makes up a text that has none", () => {
    expect(valuesOf({ inputs: [{ name: "text", type: PartType.TEXT }] }).inputs[0]?.data).toEqual(utf8.encode("hello"));
  });

  test("makes up a tensor that has none", () => {
    const tensor = { datatype: "FP32", shape: [-1n, 2n] };
    const [input] = valuesOf({ inputs: [{ name: "x", type: PartType.OTHER, required: true, tensor }] }).inputs;
    expect(input).toMatchObject({ attributes: { datatype: "FP32", shape: "[1,2]" } });
    expect(input?.data.length).toBe(8);
  });

  test("takes a parameter's first example, its default, its only value, and of a required one the first that is allowed", () => {
    const properties = {
      a: { type: "integer", examples: [3, 4], default: 1 },
      b: { type: "boolean", default: false },
      c: { const: "only" },
      d: { type: "string", enum: ["first", "second"] },
      e: { type: "string", enum: ["first", "second"] },
      f: { type: "string" },
    };
    const schema = { type: "object", properties, required: ["d"] };
    const { parameters } = valuesOf({ parametersSchema: JSON.stringify(schema) });
    expect(parameters).toEqual({ a: 3, b: false, c: "only", d: "first" });
    expect(valuesOf({ parametersSchema: JSON.stringify(properties) }).parameters).toEqual({
      a: 3,
      b: false,
      c: "only",
    });
  });

  test("says which parameter is required and tells no value, and what is no schema", () => {
    const schema = { type: "object", properties: { size: { type: "integer" } }, required: ["size"] };
    expect(() => valuesOf({ parametersSchema: JSON.stringify(schema) })).toThrow("parameters: 'size' is required");
    expect(() => valuesOf({ parametersSchema: "{" })).toThrow(
      "parameters: the service tells a JSON Schema that is none",
    );
  });

  test("takes of headers and attributes only those that must be there", () => {
    const schema = (required: string[]) =>
      JSON.stringify({ type: "object", properties: { rate: { default: 16000 }, way: { default: "x" } }, required });
    const { header, inputs } = valuesOf({
      headerSchema: schema(["way"]),
      inputs: [{ name: "a", type: PartType.AUDIO, example: utf8.encode("."), attributesSchema: schema(["rate"]) }],
    });
    expect(header).toEqual({ app_id: "123456", way: "x" });
    expect(inputs[0]?.attributes).toEqual({ rate: 16000 });
    expect(inputs[0] && partFrom(inputs[0]).attributes).toEqual({ rate: "16000" });
  });
});

test("envelopeFrom() writes the unified protocol's request, values as JSON has them and data as base64", () => {
  const values = valuesOf({
    parametersSchema: JSON.stringify({ times: { default: 2 } }),
    inputs: [{ name: "text", type: PartType.TEXT, example: utf8.encode("hi") }],
  });
  expect(JSON.parse(envelopeFrom("s", values))).toEqual({
    header: { app_id: "123456" },
    parameter: { s: { times: 2 } },
    payload: { text: { text: "aGk=" } },
  });
});
