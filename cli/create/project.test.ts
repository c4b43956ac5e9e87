import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CreateOnnxProcessor } from "../../loader/engine/onnx/processor.ts";
import { loadManifest } from "../../loader/manifest/manifest.ts";
import { codeKinds, createProject, kindFromModel } from "./project.ts";
import { createProcessor } from "./templates/ts/processor.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-create-"));
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

const filesOf = async (folder: string) => (await readdir(join(root, folder))).toSorted();

describe("createProject()", () => {
  for (const [kind, files] of [
    ["python", [".gitignore", "README.md", "requirements.txt", "service.py"]],
    ["legacy", [".gitignore", "README.md", "requirements.txt", "wrapper.py"]],
    ["cpp", [".gitignore", "Makefile", "README.md", "service.yaml", "wrapper.cpp", "wrapper_abi.h"]],
    ["ts", [".gitignore", "README.md", "processor.ts", "service.yaml"]],
  ] as const) {
    test(`makes the folder of a ${kind} service that the loader reads, with nothing left to fill in`, async () => {
      await createProject(join(root, "my-service"), codeKinds[kind]);
      expect(await filesOf("my-service")).toEqual([...files]);
      const { manifest, examples } = loadManifest(join(root, "my-service"));
      expect(manifest.id).toBe("my-service");
      // Without inputs the code itself tells them.
      expect(examples.has("name")).toBe(manifest.inputs !== undefined);
      for (const file of files) expect(await Bun.file(join(root, "my-service", file)).text()).not.toContain("SERVICE_");
    });
  }

  test("makes the folder of a model as its version 1", async () => {
    await writeFile(join(root, "any.onnx"), "bytes");
    await createProject(join(root, "net"), kindFromModel(join(root, "any.onnx")));
    expect(await filesOf("net")).toEqual(["1", "README.md"]);
    expect(await Bun.file(join(root, "net/1/model.onnx")).text()).toBe("bytes");
    expect(() => kindFromModel(join(root, "none.onnx"))).toThrow("there is no file");
    expect(() => kindFromModel(root)).toThrow("there is no file");
  });

  test("touches no folder that has something in it, and takes one that is empty", async () => {
    await mkdir(join(root, "taken"));
    await writeFile(join(root, "taken/wrapper.py"), "mine");
    await expect(createProject(join(root, "taken"), codeKinds.legacy)).rejects.toThrow("is there already");
    expect(await filesOf("taken")).toEqual(["wrapper.py"]);
    await mkdir(join(root, "empty"));
    await createProject(join(root, "empty"), codeKinds.legacy);
    expect(await filesOf("empty")).toContain("wrapper.py");
  });

  for (const name of ["a b", "grüße", "-x", ".x", "a;b", "x".repeat(65)]) {
    test(`takes '${name}' for no name of a service`, async () => {
      await expect(createProject(join(root, name), codeKinds.legacy)).rejects.toThrow("cannot be a service's name");
      expect(await filesOf(".")).toEqual([]);
    });
  }
});

test("the TypeScript template is what the ONNX engine takes for a processor", () => {
  const make: CreateOnnxProcessor = createProcessor;
  expect(make).toBeFunction();
});
