import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { describeEngine } from "../engine.cases.ts";
import type { Engine, EngineInput } from "../engine.ts";
import { buildNativeHost } from "./build.ts";
import { createNativeEngine, type NativeEngineOptions } from "./engine.ts";

const source = join(import.meta.dir, "../../../tests/fixtures/wrappers/native.cpp");
const never = new AbortController().signal;
const running: Engine[] = [];
let folder: string;
let library: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-library-"));
  library = join(folder, "libwrapper.so");
  const build = Bun.spawnSync(["g++", "-O1", "-std=c++17", "-shared", "-fPIC", "-pthread", source, "-o", library]);
  expect(build.stderr.toString()).toBe("");
  await buildNativeHost();
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function build(changes: Partial<NativeEngineOptions> = {}): Engine {
  const engine = createNativeEngine({
    service: "test",
    library,
    async: false,
    workers: 1,
    threads: 2,
    config: { greeting: "hi " },
    startTimeoutMs: 20_000,
    logger: createLogger("test", { write: () => {} }),
    onHealth: () => {},
    onProgress: () => {},
    ...changes,
  });
  running.push(engine);
  return engine;
}

async function started(changes: Partial<NativeEngineOptions> = {}): Promise<Engine> {
  const engine = build(changes);
  await engine.start(never);
  return engine;
}

function partOf(text: string, attributes: Record<string, string>): Part {
  const data = new TextEncoder().encode(text);
  return { $typeName: "athena.v1.Part", name: "text", type: PartType.TEXT, attributes, data };
}

function requestOf(text: string, mode = "", sid = "sid-1"): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "test",
    version: "",
    sid,
    headers: {},
    parameters: { mode },
    expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.TEXT, attributes: {} }],
    parts: [partOf(text, { encoding: "utf8" })],
    resourceIds: [],
    priority: 0,
  };
}

async function ask(engine: Engine, request: InferRequest): Promise<string> {
  const { parts } = await engine.infer(request, never);
  expect(parts[0]).toMatchObject({ name: "result", type: PartType.TEXT, attributes: { made: "here" } });
  return new TextDecoder().decode(parts[0]?.data);
}

async function failureOf(call: Promise<unknown>): Promise<ServingError> {
  return call.then(
    () => new ServingError("INTERNAL", "it was answered"),
    (error) => ServingError.from(error),
  );
}

async function collect(engine: Engine, sid: string, texts: readonly string[]): Promise<string[]> {
  async function* inputs(): AsyncGenerator<EngineInput> {
    for (const [index, text] of texts.entries()) {
      const last = index === texts.length - 1;
      yield { parts: [partOf(text, { status: last ? "2" : String(Math.min(index, 1)) })], last };
    }
  }
  const results: string[] = [];
  for await (const { parts, status } of engine.stream({ ...requestOf("", "", sid), parts: [] }, inputs(), never)) {
    results.push(`${new TextDecoder().decode(parts[0]?.data)} ${Status[status]}`);
  }
  return results;
}

describeEngine("native", {
  create: () => build(),
  quick: () => requestOf("x"),
  slow: () => requestOf("x", "loop"),
});

describe("a wrapper library of the predecessor", () => {
  test("answers once-calls with its tag, its parameters and its data's description", async () => {
    expect(await ask(await started(), requestOf("you"))).toBe("hi you|sid-1|utf8");
  });

  test("answers many calls at once from one loaded model, each with its own", async () => {
    const engine = await started({ threads: 8 });
    const answers = Array.from({ length: 500 }, (_, i) => ask(engine, requestOf(`${i}`, "", `s${i}`)));
    expect(await Promise.all(answers)).toEqual(answers.map((_, i) => `hi ${i}|s${i}|utf8`));
  });

  test("answers through the callback when it is called asynchronously", async () => {
    const engine = await started({ async: true });
    const answers = Array.from({ length: 100 }, (_, i) => ask(engine, requestOf(`${i}`, "", `s${i}`)));
    expect(await Promise.all(answers)).toEqual(answers.map((_, i) => `async ${i}`));
  });

  for (const isAsync of [false, true]) {
    test(`runs sessions, ${isAsync ? "called back" : "read from"}`, async () => {
      const engine = await started({ async: isAsync });
      const sessions = ["x", "y", "z"].map((name) => collect(engine, name, [`${name}1`, `${name}2`, `${name}3`]));
      for (const [index, results] of (await Promise.all(sessions)).entries()) {
        const name = "xyz"[index];
        expect(results).toEqual([`${name}1! BEGIN`, `${name}2! CONTINUE`, `${name}3! END`]);
      }
    });
  }

  test("answers with its own code and words, and keeps the service from being ready by its init", async () => {
    const error = await failureOf(ask(await started(), requestOf("")));
    expect(error).toMatchObject({ reason: "ENGINE_FAILED", engineCode: 100, message: "the text is empty" });
    const init = await failureOf(build({ config: { fail: 1 } }).start(never));
    expect(init).toMatchObject({ reason: "SERVICE_NOT_READY", message: "the licence is missing" });
    const missing = await failureOf(build({ library: join(folder, "none.so") }).start(never));
    expect(missing.message).toContain("the library cannot be loaded");
    const thrown = await failureOf(build({ config: { throw: 1 } }).start(never));
    expect(thrown).toMatchObject({ reason: "SERVICE_NOT_READY", message: "the model file is broken" });
  });

  for (const [mode, signal] of [
    ["abort", "SIGABRT"],
    ["segfault", "SIGSEGV"],
  ] as const) {
    test(`that ends by ${mode} fails only the requests inside it, and answers again`, async () => {
      const engine = await started();
      const error = await failureOf(ask(engine, requestOf("x", mode)));
      expect(error).toMatchObject({ reason: "ENGINE_CRASHED" });
      expect(error.message).toContain(signal);
      const deadline = performance.now() + 10_000;
      while ((await failureOf(ask(engine, requestOf("x")))).message !== "it was answered") {
        expect(performance.now()).toBeLessThan(deadline);
        await Bun.sleep(20);
      }
    });
  }

  test("gets back every list that it gave, and its fini is called", async () => {
    const log = join(folder, "log");
    const engine = await started({ config: { greeting: "", log_file: log } });
    await Promise.all(Array.from({ length: 50 }, (_, i) => ask(engine, requestOf(`${i}`, "", `s${i}`))));
    await engine.stop();
    expect(await Bun.file(log).text()).toBe("fini, live lists: 0, sessions: 0\n");
  });
});

test("a folder that others may write to is not trusted with a program", async () => {
  const open = join(folder, "open");
  await mkdir(open);
  await chmod(open, 0o777);
  await expect(buildNativeHost({ folder: open })).rejects.toThrow("can be written by other users");
});

test("a machine without a compiler is told what it lacks", async () => {
  await expect(buildNativeHost({ folder: join(folder, "none"), command: () => null })).rejects.toThrow(
    "needs a C++ compiler",
  );
});
