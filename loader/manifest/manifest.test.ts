import { describe, expect, test } from "bun:test";
import { parseConfig } from "../../config/load.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { definitionFrom } from "./definition.ts";
import { loadManifest, manifestSchema } from "./manifest.ts";

const parse = (text: string) => parseConfig(text, manifestSchema, "service.yaml");

describe("a service.yaml", () => {
  test("of the project's own services is read, and becomes the definition that callers are told", () => {
    const definition = definitionFrom(loadManifest("config/services/mmocr").manifest);
    expect(definition).toMatchObject({ id: "mmocr", version: "v1", once: true, stream: false, timeoutMs: 60_000 });
    expect(definition.inputs).toMatchObject([
      { name: "data", type: PartType.IMAGE, required: true, maxBytes: 10_485_760n },
    ]);
    expect(definition.outputs[0]?.attributes).toEqual({ encoding: "utf8", compress: "raw", format: "json" });
    expect(JSON.parse(definition.parametersSchema).properties.gpu_type).toEqual({ type: "string", enum: ["T4G16"] });
    expect(definitionFrom(loadManifest("config/services/echo").manifest).stream).toBe(true);
  });

  test("with mistakes names each of them with its line", () => {
    const text = "id: a b\nengine: { kind: onnx }\ninputs: { data: { type: picture } }\noutputs: {}\nslot: 1";
    expect(() => parse(text)).toThrow(/line 1: id/);
    expect(() => parse(text)).toThrow(/line 2: engine.processor/);
    expect(() => parse(text)).toThrow(/line 3: inputs.data.type/);
    expect(() => parse(text)).toThrow(/line 5: slot: unknown key/);
  });

  test("may not require a parameter that it does not declare, nor answer nothing at all", () => {
    const base = "id: a\nengine: { kind: echo }\ninputs: {}\noutputs: {}\n";
    expect(() => parse(`${base}requiredParameters: [x]`)).toThrow("no parameter is named 'x'");
    expect(() => parse(`${base}once: false`)).toThrow("once and stream cannot both be false");
  });
});
