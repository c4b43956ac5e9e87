import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import { parseConfig } from "../../config/load.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";
import { createEchoEngine } from "../engine/echo/engine.ts";
import { modelFileFromPath } from "../engine/onnx/model-file.ts";
import { assertDescribed, definitionFrom } from "./definition.ts";
import { loadManifest, manifestSchema } from "./manifest.ts";

const parse = (text: string) => parseConfig(text, manifestSchema, "service.yaml");

describe("a service.yaml", () => {
  test("of the project's own services is read, and becomes the definition that callers are told", () => {
    const definition = definitionFrom(loadManifest("config/services/mmocr"));
    expect(definition).toMatchObject({ id: "mmocr", version: "v1", once: true, stream: false, timeoutMs: 60_000 });
    expect(definition.inputs).toMatchObject([
      { name: "data", type: PartType.IMAGE, required: true, maxBytes: 10_485_760n },
    ]);
    expect(definition.outputs[0]?.attributes).toEqual({ encoding: "utf8", compress: "raw", format: "json" });
    expect(JSON.parse(definition.parametersSchema).properties.gpu_type).toEqual({ type: "string", enum: ["T4G16"] });
    expect(definitionFrom(loadManifest("config/services/echo")).stream).toBe(true);
  });

  test("with mistakes names each of them with its line", () => {
    const text =
      "id: a b\nengine: { kind: onnx, workers: -1 }\ninputs: { data: { type: picture } }\noutputs: {}\nslot: 1";
    expect(() => parse(text)).toThrow(/line 1: id/);
    expect(() => parse(text)).toThrow(/line 2: engine.workers/);
    expect(() => parse(text)).toThrow(/line 3: inputs.data.type/);
    expect(() => parse(text)).toThrow(/line 5: slot: unknown key/);
  });

  test("may say that an input or output is a tensor", () => {
    const text = (tensor: string, type = "other") =>
      `id: a\nengine: { kind: echo }\ninputs: { x: { type: ${type}, tensor: ${tensor} } }\noutputs: {}`;
    const definition = definitionFrom({
      manifest: parse(text("{ datatype: FP32, shape: [-1, 4] }")),
      examples: new Map(),
    });
    expect(definition.inputs[0]?.tensor).toMatchObject({ datatype: "FP32", shape: [-1n, 4n] });
    expect(() => parse(text("{ datatype: FLOAT, shape: [1] }"))).toThrow(
      /line 3: inputs.x.tensor.datatype: expected one of BOOL/,
    );
    expect(() => parse(text("{ datatype: FP32, shape: [-2] }"))).toThrow("inputs.x.tensor.shape.0");
    expect(() => parse(text("{ datatype: FP32, shape: [1] }", "text"))).toThrow(
      "line 3: inputs.x.type: the type of a tensor",
    );
  });

  test("may not require a parameter that it does not declare, nor answer nothing at all", () => {
    const base = "id: a\nengine: { kind: echo }\ninputs: {}\noutputs: {}\n";
    expect(() => parse(`${base}requiredParameters: [x]`)).toThrow("no parameter is named 'x'");
    expect(() => parse("id: a\nengine: { kind: onnx }")).toThrow("line 2: engine: model or processor is required");
    expect(() => parse(`${base}once: false`)).toThrow("once and stream cannot both be false");
  });
});

test("personal resources have room where service.yaml gives it, and need an engine that takes them", () => {
  const base = "id: a\nengine: { kind: echo }\ninputs: {}\noutputs: {}\n";
  expect(parse(base).resources).toBeUndefined();
  expect(parse(`${base}resources: {}`).resources).toEqual({ maxCount: 1000, maxBytes: 268_435_456, timeoutMs: 30_000 });
  expect(() => parse(`${base}resources: { maxCount: 0 }`)).toThrow("line 5: resources.maxCount");
  const manifest = parse(`${base}resources: {}`);
  expect(() => assertDescribed(manifest, undefined, createEchoEngine())).toThrow(
    "service 'a': service.yaml has resources, and its echo engine takes none",
  );
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

describe("an input's example", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "athena-manifest-"));
    await mkdir(join(folder, "test_data"));
    await writeFile(join(folder, "test_data/0.bin"), new Uint8Array([0, 255, 7]));
    await writeFile(join(folder, "test_data/large.bin"), new Uint8Array(1_048_577));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  const load = async (inputs: string) => {
    await writeFile(join(folder, "service.yaml"), `id: a\nengine: { kind: echo }\noutputs: {}\ninputs:\n${inputs}`);
    return loadManifest(folder);
  };

  test("is text, or a file of the folder, and becomes part of the definition", async () => {
    const located = await load(
      "  text: { type: text, example: grüß dich }\n  data: { type: other, example: { file: test_data/0.bin } }",
    );
    const [text, data] = definitionFrom(located).inputs;
    expect(new TextDecoder().decode(text?.example)).toBe("grüß dich");
    expect([...(data?.example ?? [])]).toEqual([0, 255, 7]);
  });

  test("is the engine's where service.yaml has none", async () => {
    const located = await load("  text: { type: text }\n  data: { type: other }");
    const told = create(ServiceDefinitionSchema, { inputs: [{ name: "data", example: new Uint8Array([1]) }] });
    expect(definitionFrom(located, told).inputs.map(({ example }) => [...example])).toEqual([[], [1]]);
  });

  for (const [what, example, mistake] of [
    ["is not there", "{ file: test_data/1.bin }", "'test_data/1.bin' cannot be read (ENOENT)"],
    ["is a folder", "{ file: test_data }", "'test_data' is not a file"],
    ["is too large", "{ file: test_data/large.bin }", "'test_data/large.bin' has more than 1048576 bytes"],
    ["lies elsewhere", "{ file: test_data/../../0.bin }", "must be a file in the service's folder"],
    ["is absolute", "{ file: /etc/hostname }", "must be a file in the service's folder"],
  ] as const) {
    test(`whose file ${what} is a mistake with its line`, async () => {
      const text = `  text: { type: text }\n  data:\n    type: other\n    example: ${example}`;
      await expect(load(text)).rejects.toThrow(`line 8: inputs.data.example.file: ${mistake}`);
    });
  }

  test("has no more bytes than its input takes", async () => {
    const text = "  text: { type: text, maxBytes: 3, example: four }";
    await expect(load(text)).rejects.toThrow("line 5: inputs.text.example: more than 3 bytes");
  });
});
