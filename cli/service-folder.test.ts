import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { ConfigError } from "../config/load.ts";
import { UsageError } from "./failure.ts";
import { folderFrom, locateServices } from "./service-folder.ts";

let root: string;
let temporary: AsyncDisposableStack;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-folders-"));
  temporary = new AsyncDisposableStack();
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
  await temporary.disposeAsync();
  await rm(root, { recursive: true });
});

const locate = async (...paths: readonly string[]) =>
  (
    await locateServices(
      paths.map((path) => join(root, path)),
      temporary,
    )
  ).map(({ manifest }) => manifest.id);

describe("locateServices()", () => {
  test("reads folders, and the files that stand for theirs", async () => {
    expect(await locate("a", "b/wrapper.py")).toEqual(["a", "b"]);
    expect(await locate("b/service.yaml")).toEqual(["b"]);
  });

  test("refuses what is not there, what is no service, and two of one id, in words for the user", async () => {
    await mkdir(join(root, "empty"));
    await writeFile(join(root, "notes.txt"), "");
    for (const [path, words] of [
      ["nowhere", "there is no"],
      ["empty", "is no service"],
      ["notes.txt", "is neither"],
    ] as const) {
      const error = await locate(path).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(UsageError);
      expect(String(error)).toContain(words);
    }
    await expect(locate("a", "a")).rejects.toThrow("two folders define the service 'a'");
  });

  test("tells the mistakes of a service.yaml with their lines", async () => {
    await writeFile(join(root, "a/service.yaml"), "id: a\nengine: { kind: ech }\n");
    const error = await locate("a").catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain("line 2: engine.kind");
  });
});

describe("folderFrom()", () => {
  test("takes a versioned model for its service's folder, and a model that stands alone into a folder of its own", async () => {
    await mkdir(join(root, "m/1"), { recursive: true });
    for (const file of ["m/1/model.onnx", "res net.onnx", "a/model.onnx"]) await writeFile(join(root, file), "bytes");
    expect(await folderFrom(join(root, "m/1/model.onnx"), temporary)).toBe(join(root, "m"));
    expect(await folderFrom(join(root, "a/model.onnx"), temporary)).toBe(join(root, "a"));
    const folder = await folderFrom(join(root, "res net.onnx"), temporary);
    expect(basename(folder)).toBe("res-net");
    expect(readFileSync(join(folder, "model.onnx"), "utf8")).toBe("bytes");
    await temporary.disposeAsync();
    expect(existsSync(folder)).toBe(false);
    expect(existsSync(join(root, "res net.onnx"))).toBe(true);
  });
});
