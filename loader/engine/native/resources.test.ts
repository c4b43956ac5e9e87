import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServingError } from "../../../proto/errors.ts";
import type { Engine, EngineResources } from "../engine.ts";
import type { NativeEngineOptions } from "./engine.ts";
import {
  ask,
  compileLibrary,
  converse,
  eventually,
  removeFolder,
  requestOf,
  startLibrary,
  textPart,
} from "./test-library.ts";

const never = new AbortController().signal;
const running: Engine[] = [];
let folder: string;
let library: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-native-resources-"));
  library = await compileLibrary("native.cpp", folder);
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});

afterAll(() => removeFolder(folder));

async function start(changes: Partial<NativeEngineOptions> = {}) {
  const limits = { maxCount: 10, maxBytes: 10_000_000, timeoutMs: 10_000 };
  const { engine, lines } = await startLibrary(library, { resources: limits, ...changes });
  running.push(engine);
  const resources: EngineResources | undefined = engine.resources;
  if (resources === undefined) throw new Error("the engine takes no resources");
  const load = (id: number, text: string, patchId = `p${id}`) =>
    resources.load(id, [textPart(text, { patch_id: patchId })], never);
  return { engine, lines, resources, load };
}

async function errorOf(call: Promise<unknown>): Promise<ServingError> {
  return call.then(
    () => new ServingError("INTERNAL", "it was done"),
    (error) => ServingError.from(error),
  );
}

describe("a wrapper library's personal resources", () => {
  for (const isAsync of [false, true]) {
    test(`are what its calls and sessions answer with, ${isAsync ? "called back" : "called"}`, async () => {
      const { engine, load } = await start({ async: isAsync });
      await load(1, "one");
      await load(4_000_000_000, "four");
      const ids = [4_000_000_000, 1];
      const once = await ask(engine, requestOf("x", { resourceIds: ids }));
      expect(once).toBe(isAsync ? "async four(p4000000000)|one(p1)|x" : "four(p4000000000)|one(p1)|x|s|");
      expect(await converse(engine, requestOf("", { resourceIds: [1] }), ["a", "b"])).toEqual([
        "one(p1)|a!",
        "one(p1)|b!",
      ]);
      expect(await ask(engine, requestOf("x"))).toBe(isAsync ? "async x" : "x|s|");
    });
  }

  test("may be large, and replaced while others are used", async () => {
    const { engine, load } = await start({ workers: 2, threads: 8 });
    await load(1, "one");
    const large = "x".repeat(5_000_000);
    let isOver = false;
    const callers = Array.from({ length: 8 }, async () => {
      while (!isOver) expect(await ask(engine, requestOf("x", { resourceIds: [1] }))).toBe("one(p1)|x|s|");
    });
    for (const text of [large, "two", large]) {
      await load(2, text);
      expect(await ask(engine, requestOf("x", { resourceIds: [2] }))).toBe(`${text}(p2)|x|s|`);
    }
    isOver = true;
    await Promise.all(callers);
  });

  test("are refused with its own code and words", async () => {
    const { resources, load } = await start();
    expect(await errorOf(load(1, "broken"))).toMatchObject({
      reason: "ENGINE_FAILED",
      engineCode: 201,
      message: "the voice is broken",
    });
    const two = [textPart("a"), textPart("b")];
    expect(await errorOf(resources.load(1, two, never))).toMatchObject({ engineCode: 200 });
    await load(1, "good");
  });

  test("are not unloaded under a call that uses them", async () => {
    const { engine, resources, load } = await start();
    await load(1, "one");
    const path = join(folder, "end");
    const request = requestOf("x", { mode: "wait", resourceIds: [1] });
    const call = ask(engine, { ...request, parameters: { mode: "wait", path } });
    const unload = resources.unload(1, never);
    // The worker's own queue of resources is free: only the call keeps this one.
    await load(2, "two");
    expect(await ask(engine, requestOf("y", { resourceIds: [2] }))).toBe("two(p2)|y|s|");
    await writeFile(path, "");
    expect(await call).toBe("one(p1)|x|s|");
    await unload;
    expect((await errorOf(ask(engine, requestOf("x", { resourceIds: [1] })))).reason).toBe("RESOURCE_NOT_FOUND");
  });

  test("that hang in wrapperLoadRes end their process, and the next has the others", async () => {
    const { engine, lines, load } = await start({ resources: { maxCount: 10, maxBytes: 1000, timeoutMs: 300 } });
    await load(1, "one");
    expect(await errorOf(load(2, "hang"))).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    await eventually(() => lines.some(({ msg }) => msg === "a worker ended"));
    const asked = requestOf("x", { resourceIds: [1] });
    await eventually(async () => (await ask(engine, asked).catch(() => "")) === "one(p1)|x|s|");
  });
});
