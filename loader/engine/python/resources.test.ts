import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine } from "../engine.ts";
import { textResource } from "../test-resources.ts";
import { createPythonEngine, type PythonEngineOptions } from "./engine.ts";

const wrappers = join(import.meta.dir, "../../../tests/fixtures/wrappers");
const never = new AbortController().signal;
const running: Engine[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});

async function start(wrapper: string, changes: Partial<PythonEngineOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const meters: string[] = [];
  const engine = createPythonEngine({
    service: "test",
    wrapper: join(wrappers, wrapper),
    class: "Wrapper",
    python: "python3",
    workers: 1,
    threads: 4,
    config: {},
    resources: { maxCount: 10, maxBytes: 1_000_000, timeoutMs: 10_000 },
    startTimeoutMs: 20_000,
    logger: createLogger("test", { write: (line: string) => void lines.push(JSON.parse(line)) }),
    onHealth: () => {},
    onProgress: () => {},
    onMeter: (key, count) => meters.push(`${key} ${count}`),
    ...changes,
  });
  running.push(engine);
  await engine.start(never);
  const { resources } = engine;
  if (resources === undefined) throw new Error("the engine takes no resources");
  const load = (id: number, text: string) => resources.load(id, textResource(text, { patch_id: `p${id}` }), never);
  return { engine, resources, load, lines, meters };
}

function requestOf(text: string, resourceIds: number[] = [], parameters: Record<string, string> = {}): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "test",
    version: "",
    sid: "sid",
    headers: {},
    parameters,
    expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.TEXT, attributes: {} }],
    parts: [
      {
        $typeName: "athena.v1.Part",
        name: "text",
        type: PartType.TEXT,
        attributes: {},
        data: new TextEncoder().encode(text),
      },
    ],
    resourceIds,
    priority: 0,
  };
}

async function ask(engine: Engine, request: InferRequest): Promise<string> {
  const { parts } = await engine.infer(request, never);
  return new TextDecoder().decode(parts[0]?.data).replace(/\|\d+$/, "");
}

async function errorOf(call: Promise<unknown>): Promise<ServingError> {
  return call.then(
    () => new ServingError("INTERNAL", "it was done"),
    (error) => ServingError.from(error),
  );
}

describe("a Python wrapper's personal resources", () => {
  test("are what its calls and sessions answer with: the first that is named", async () => {
    const { engine, load } = await start("resources.py");
    await load(1, "one");
    await load(4_000_000_000, "four");
    expect(await ask(engine, requestOf("x", [4_000_000_000, 1]))).toBe("four(p4000000000)|x");
    expect(await ask(engine, requestOf("x"))).toBe("plain|x");
    const texts: string[] = [];
    async function* inputs() {
      yield { parts: requestOf("a").parts.map((part) => ({ ...part, attributes: { status: "2" } })), last: true };
    }
    for await (const { parts } of engine.stream({ ...requestOf("", [1]), parts: [] }, inputs(), never)) {
      texts.push(new TextDecoder().decode(parts[0]?.data).replace(/\|\d+$/, ""));
    }
    expect(texts).toEqual(["one(p1)|a"]);
  });

  test("are refused with its own code and words, or what it throws", async () => {
    const { load } = await start("resources.py");
    expect(await errorOf(load(1, "broken"))).toMatchObject({
      reason: "ENGINE_FAILED",
      engineCode: 201,
      message: "the voice is broken",
    });
    expect(await errorOf(load(1, "raise"))).toMatchObject({ message: "ValueError: not a voice" });
    await load(1, "good");
  });

  test("are loaded while calls go on, and not unloaded under a call that uses them", async () => {
    const { engine, resources, load } = await start("resources.py");
    const folder = await mkdtemp(join(tmpdir(), "athena-python-resources-"));
    const path = join(folder, "end");
    await load(1, "one");
    const call = ask(engine, requestOf("x", [1], { mode: "wait", path }));
    const unload = resources.unload(1, never);
    await load(2, "two");
    expect(await ask(engine, requestOf("y", [2]))).toBe("two(p2)|y");
    await writeFile(path, "");
    expect(await call).toBe("one(p1)|x");
    await unload;
    expect((await errorOf(ask(engine, requestOf("x", [1])))).reason).toBe("RESOURCE_NOT_FOUND");
    await rm(folder, { recursive: true });
  });

  test("that loop in wrapperLoadRes end their process, and the next has the others", async () => {
    const limits = { maxCount: 10, maxBytes: 1000, timeoutMs: 300 };
    const { engine, lines, load } = await start("resources.py", { resources: limits });
    await load(1, "one");
    expect(await errorOf(load(2, "hang"))).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    const deadline = performance.now() + 10_000;
    while (!lines.some(({ msg }) => msg === "a worker ended") && performance.now() < deadline) await Bun.sleep(10);
    let answer = "";
    while (answer !== "one(p1)|x" && performance.now() < deadline) {
      answer = await ask(engine, requestOf("x", [1])).catch(() => Bun.sleep(10).then(() => ""));
    }
    expect(answer).toBe("one(p1)|x");
  });

  test("need a wrapper that has wrapperLoadRes", async () => {
    const { load } = await start("short.py");
    expect(await errorOf(load(1, "one"))).toMatchObject({
      reason: "UNSUPPORTED_OPERATION",
      message: "the wrapper has no wrapperLoadRes",
    });
  });
});

test("what a Python wrapper counts and traces is told with the request that it belongs to", async () => {
  const { engine, lines, meters } = await start("resources.py");
  await ask(engine, requestOf("x", [], { mode: "meter" }));
  expect(meters).toEqual(["words 3"]);
  expect(lines.filter(({ msg }) => msg === "meter" || msg === "trace")).toMatchObject([
    { level: "info", msg: "meter", sid: "sid", key: "words", count: 3 },
    { level: "info", msg: "trace", sid: "sid", key: "model", value: "small" },
  ]);
});
