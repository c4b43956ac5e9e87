import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../config/load.ts";
import { UsageError } from "./failure.ts";
import { locateServices } from "./service-folder.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-folders-"));
  for (const [id, engine] of [
    ["a", "echo"],
    ["b", "python"],
  ]) {
    await mkdir(join(root, `${id}`));
    const text = `id: ${id}\nengine: { kind: ${engine} }\ninputs: {}\noutputs: {}\n`;
    await writeFile(join(root, `${id}/service.yaml`), text);
  }
  await writeFile(join(root, "b/wrapper.py"), "");
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

const locate = (...paths: readonly string[]) =>
  locateServices(paths.map((path) => join(root, path))).map(({ manifest }) => manifest.id);

describe("locateServices()", () => {
  test("reads folders, and the files that stand for theirs", () => {
    expect(locate("a", "b/wrapper.py")).toEqual(["a", "b"]);
    expect(locate("b/service.yaml")).toEqual(["b"]);
  });

  test("reads a model as the service that it is, and a versioned one as its folder", async () => {
    const model = join(import.meta.dir, "../tests/fixtures/models/lookup.onnx");
    await mkdir(join(root, "net/1"), { recursive: true });
    await cp(model, join(root, "net/1/model.onnx"));
    expect(locateServices([join(root, "net"), model]).map(({ manifest }) => manifest.id)).toEqual(["net", "lookup"]);
    expect(locate("net/1/model.onnx")).toEqual(["net"]);
  });

  for (const [path, words] of [
    ["nowhere", "there is no"],
    ["empty", "is no service"],
    ["notes.txt", "is neither"],
  ] as const) {
    test(`says what is wrong with '${path}', in words for the user`, async () => {
      await mkdir(join(root, "empty"));
      await writeFile(join(root, "notes.txt"), "");
      expect(() => locate(path)).toThrow(UsageError);
      expect(() => locate(path)).toThrow(words);
    });
  }

  test("refuses two services of one id", () => {
    expect(() => locate("a", "a")).toThrow("two folders define the service 'a'");
  });

  test("tells the mistakes of a service.yaml with their lines", async () => {
    await writeFile(join(root, "a/service.yaml"), "id: a\nengine: { kind: ech }\n");
    expect(() => locate("a")).toThrow(ConfigError);
    expect(() => locate("a")).toThrow("line 2: engine.kind");
  });
});
