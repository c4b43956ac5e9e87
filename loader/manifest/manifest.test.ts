import { describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseConfig } from "../../config/load.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { modelFileFromPath } from "../engine/onnx/model-file.ts";
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
    const text =
      "id: a b\nengine: { kind: onnx, workers: -1 }\ninputs: { data: { type: picture } }\noutputs: {}\nslot: 1";
    expect(() => parse(text)).toThrow(/line 1: id/);
    expect(() => parse(text)).toThrow(/line 2: engine.workers/);
    expect(() => parse(text)).toThrow(/line 3: inputs.data.type/);
    expect(() => parse(text)).toThrow(/line 5: slot: unknown key/);
  });

  test("may not require a parameter that it does not declare, nor answer nothing at all", () => {
    const base = "id: a\nengine: { kind: echo }\ninputs: {}\noutputs: {}\n";
    expect(() => parse(`${base}requiredParameters: [x]`)).toThrow("no parameter is named 'x'");
    expect(() => parse("id: a\nengine: { kind: onnx }")).toThrow("line 2: engine: model or processor is required");
    expect(() => parse(`${base}once: false`)).toThrow("once and stream cannot both be false");
  });
});

describe("a service without a service.yaml", () => {
  const models = "tests/fixtures/models";

  test("is an ONNX file with the file's name, or a folder with the highest of its versions", async () => {
    const file = loadManifest(`${models}/lookup.onnx`);
    expect(file.manifest).toMatchObject({
      id: "lookup",
      version: "v1",
      engine: { kind: "onnx", model: "lookup.onnx" },
    });
    expect(file.folder).toBe(resolve(models));

    const folder = await mkdtemp(join(tmpdir(), "athena-model-"));
    for (const version of ["2", "10", "notes"]) {
      await mkdir(join(folder, version));
      await cp(`${models}/lookup.onnx`, join(folder, version, "model.onnx"));
    }
    const { manifest } = loadManifest(folder);
    expect(manifest).toMatchObject({ id: basename(folder), version: "10", engine: { kind: "onnx", model: "." } });
    expect(modelFileFromPath(folder).path).toBe(join(folder, "10/model.onnx"));
    await rm(folder, { recursive: true });
  });

  test("is told what is missing when there is nothing that tells", () => {
    expect(() => loadManifest("docs/decisions")).toThrow("service.yaml");
    expect(() => modelFileFromPath("docs/nowhere")).toThrow("engine.model: 'nowhere' is neither an ONNX file nor");
  });
});
