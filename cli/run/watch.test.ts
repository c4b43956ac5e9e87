import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type WatchedSource, type WatchOptions, watchSource } from "./watch.ts";

let folder: string;
let watched: WatchedSource | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-watch-"));
  await write("wrapper.py", "1");
});

afterEach(async () => {
  await watched?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, file)), { recursive: true });
  await writeFile(join(folder, file), text);
}

/** Watches; `next` resolves at the next change that is told, and `count` counts them. */
async function begin(options: Partial<WatchOptions> = {}, source = folder) {
  let told = Promise.withResolvers<void>();
  const errors: string[] = [];
  const state = { count: 0, errors, next: () => told.promise };
  const tell = (): void => {
    told.resolve();
    told = Promise.withResolvers<void>();
  };
  watched = await watchSource(source, {
    prepare: async () => {},
    async onChange() {
      state.count += 1;
      tell();
    },
    onError(thrown) {
      errors.push(String(thrown));
      tell();
    },
    ...options,
  });
  return { ...state, watched, state };
}

describe("watchSource()", () => {
  for (const file of [
    "wrapper.py",
    "1/model.onnx",
    "libwrapper.so",
    "service.yaml",
    "processor.ts",
    "src/deep/wrapper.cpp",
  ]) {
    test(`tells that ${file} has changed, new or not`, async () => {
      const { next, watched } = await begin();
      await watched.follow();
      let told = next();
      await write(file, "22");
      await told;
      told = next();
      await write(file, "333");
      await told;
    });
  }

  test("watches a single file alone, written in place or put in its place", async () => {
    await write("model.onnx", "1");
    const { state, next, watched } = await begin({}, join(folder, "model.onnx"));
    await write("wrapper.py", "22");
    await watched.follow();
    expect(state.count).toBe(0);
    let told = next();
    await write("model.onnx", "22");
    await told;
    for (const text of ["333", "4444"]) {
      told = next();
      await write("new", text);
      await rename(join(folder, "new"), join(folder, "model.onnx"));
      await told;
    }
    expect(state.count).toBe(3);
  });

  test("tells nothing of what tools keep, of other people's code, and of what code writes", async () => {
    const { state, next, watched } = await begin();
    for (const file of [
      "node_modules/a/index.js",
      "__pycache__/wrapper.py",
      ".git/config.yaml",
      ".venv/x.py",
      "a.log",
      "a.json",
    ]) {
      await write(file, "1");
    }
    await watched.follow();
    expect(state.count).toBe(0);
    const told = next();
    await write("wrapper.py", "22");
    await told;
    expect(state.count).toBe(1);
  });

  test("tells a change that came before it was asked to", async () => {
    const { state, watched } = await begin();
    await write("wrapper.py", "22");
    expect(state.count).toBe(0);
    await watched.follow();
    expect(state.count).toBe(1);
  });

  test("takes what is built for part of the change that it was built for", async () => {
    const { state, next, watched } = await begin({ prepare: () => write("libwrapper.so", crypto.randomUUID()) });
    await watched.follow();
    const told = next();
    await write("wrapper.cpp", "1");
    await told;
    // A look at the folder, whatever events are still to come.
    await watched.follow();
    expect(state.count).toBe(1);
  });

  test("tells what cannot be built, and builds again at the next change", async () => {
    let isBroken = true;
    const prepare = async (): Promise<void> => {
      if (isBroken) throw new Error("a mistake");
    };
    const { state, next, watched } = await begin({ prepare });
    await watched.follow();
    let told = next();
    await write("wrapper.cpp", "1");
    await told;
    expect([state.count, state.errors]).toEqual([0, ["Error: a mistake"]]);
    isBroken = false;
    told = next();
    await write("wrapper.cpp", "22");
    await told;
    expect(state.count).toBe(1);
  });

  test("tells a change that comes while one is being told after that one", async () => {
    const texts: string[] = [];
    const both = Promise.withResolvers<void>();
    const { watched } = await begin({
      async onChange() {
        texts.push(await Bun.file(join(folder, "wrapper.py")).text());
        if (texts.length === 1) {
          await write("wrapper.py", "333");
          // It must be seen although nobody looks while this is under way.
          await watched.follow();
        } else both.resolve();
      },
    });
    await watched.follow();
    await write("wrapper.py", "22");
    await both.promise;
    expect(texts).toEqual(["22", "333"]);
  });
});
