import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { describeEngine } from "../engine.cases.ts";
import type { Engine } from "../engine.ts";
import { createPythonEngine, type PythonEngineOptions } from "./engine.ts";

const wrappers = join(import.meta.dir, "../../../tests/fixtures/wrappers");
const never = new AbortController().signal;
const running: Engine[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});

function build(wrapper: string, changes: Partial<PythonEngineOptions> = {}): Engine {
  const engine = createPythonEngine({
    service: "test",
    wrapper: join(wrappers, wrapper),
    python: "python3",
    workers: 1,
    threads: 1,
    config: {},
    startTimeoutMs: 20_000,
    logger: createLogger("test", { write: () => {} }),
    onHealth: () => {},
    onProgress: () => {},
    ...changes,
  });
  running.push(engine);
  return engine;
}

async function started(wrapper: string, changes: Partial<PythonEngineOptions> = {}): Promise<Engine> {
  const engine = build(wrapper, changes);
  await engine.start(never);
  return engine;
}

function requestOf(text: string, mode?: string, sid = "sid-1"): InferRequest {
  const data = new TextEncoder().encode(text);
  return {
    $typeName: "athena.v1.InferRequest",
    service: "test",
    version: "",
    sid,
    headers: {},
    parameters: mode === undefined ? {} : { mode },
    expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.TEXT, attributes: {} }],
    parts: [{ $typeName: "athena.v1.Part", name: "text", type: PartType.TEXT, attributes: { status: "3" }, data }],
    resourceIds: [],
    priority: 0,
  };
}

async function ask(engine: Engine, request: InferRequest, signal = never): Promise<string> {
  const { parts } = await engine.infer(request, signal);
  expect(parts.map(({ name, type }) => [name, type])).toEqual([["result", PartType.TEXT]]);
  return new TextDecoder().decode(parts[0]?.data);
}

async function failureOf(call: Promise<unknown>): Promise<ServingError> {
  return call.then(
    () => new ServingError("INTERNAL", "it was answered"),
    (error) => ServingError.from(error),
  );
}

/** Asks again until it is answered, for at most ten seconds. */
async function eventuallyAnswers(engine: Engine): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const error = await failureOf(ask(engine, requestOf("again")));
    if (error.message === "it was answered") return;
    if (performance.now() > deadline) throw error;
    await Bun.sleep(20);
  }
}

describeEngine("python", {
  create: () => build("legacy.py"),
  quick: () => requestOf("x"),
  slow: () => requestOf("x", "loop"),
});

describe("a wrapper of the predecessor", () => {
  test("runs unchanged: its parameters, its tag and its data are what it was used to", async () => {
    const answer = JSON.parse(await ask(await started("legacy.py"), requestOf("straße", "upper")));
    expect(answer).toMatchObject({ text: "STRASSE", sid: "sid-1", tag: "sid-1" });
  });

  test("may take two arguments and assign its answer's fields", async () => {
    expect(await ask(await started("short.py"), requestOf("abc"))).toBe("cba");
  });

  test("may be a class of its own, with some of the methods only", async () => {
    expect(await ask(await started("bare.py"), requestOf("abc"))).toBe("ABC");
  });

  test("may answer through the callback, from any thread", async () => {
    const engine = await started("asynchronous.py", { threads: 8 });
    const answers = Array.from({ length: 50 }, (_, i) => ask(engine, requestOf(`${i}`, undefined, `sid-${i}`)));
    expect(await Promise.all(answers)).toEqual(answers.map((_, i) => `async ${i}`));
    const refused = await failureOf(ask(engine, requestOf("x", "refuse", "other")));
    expect(refused).toMatchObject({ reason: "ENGINE_FAILED", engineCode: 9, message: "refused with 9" });
  });

  test("answers with its own code and its own words", async () => {
    const error = await failureOf(ask(await started("legacy.py"), requestOf("  ")));
    expect(error).toMatchObject({ reason: "ENGINE_FAILED", engineCode: 100, message: "the text is empty" });
  });

  test("runs several calls at once in threads, and in several processes", async () => {
    const engine = await started("legacy.py", { workers: 2, threads: 2 });
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => ask(engine, requestOf(`n${i}`))));
    expect(answers.map((answer) => JSON.parse(answer).text)).toEqual(answers.map((_, i) => `N${i}`));
    expect(new Set(answers.map((answer) => JSON.parse(answer).pid)).size).toBe(2);
  });
});

describe("what goes wrong in a wrapper", () => {
  for (const [mode, message] of [
    ["raise", "ValueError: I do not like this"],
    ["exit", "SystemExit: 3"],
    ["none", "the wrapper returned nothing"],
    ["empty", "the wrapper returned a response without data"],
  ] as const) {
    test(`fails its own request, which is told (${mode}), and the next is answered at once`, async () => {
      const engine = await started("legacy.py");
      expect(await failureOf(ask(engine, requestOf("x", mode)))).toMatchObject({ reason: "ENGINE_FAILED", message });
      expect(JSON.parse(await ask(engine, requestOf("y"))).text).toBe("Y");
    });
  }

  test("by an abort of the process fails the requests inside it, and a new process answers", async () => {
    const engine = await started("legacy.py");
    const error = await failureOf(ask(engine, requestOf("x", "abort")));
    expect(error).toMatchObject({ reason: "ENGINE_CRASHED" });
    expect(error.message).toContain("SIGABRT");
    await eventuallyAnswers(engine);
  });

  for (const mode of ["loop", "sleep"]) {
    test(`by never answering (${mode}) ends with the caller's deadline, and a new process answers`, async () => {
      const engine = await started("legacy.py");
      const caller = new AbortController();
      const call = failureOf(ask(engine, requestOf("x", mode), caller.signal));
      caller.abort(new ServingError("DEADLINE_EXCEEDED", "too late"));
      expect(await call).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
      await eventuallyAnswers(engine);
    });
  }

  test("by printing without end is read and dropped", async () => {
    expect(JSON.parse(await ask(await started("legacy.py"), requestOf("x", "print"))).text).toBe("X");
  });

  test("in wrapperInit keeps the service from being ready, and says why in its own words", async () => {
    const code = await failureOf(build("legacy.py", { config: { fail: true } }).start(never));
    expect(code.message).toBe("wrapperInit returned 77: the licence is missing");
    const thrown = await failureOf(build("legacy.py", { config: { raise: true } }).start(never));
    expect(thrown.message).toBe("RuntimeError: no such model");
    expect((await failureOf(build("mute.py").start(never))).message).toBe("ValueError: the model is broken");
  });

  test("before it: a missing file, class or interpreter", async () => {
    expect((await failureOf(build("nowhere.py").start(never))).message).toBe("nowhere.py is not there");
    expect((await failureOf(build("legacy.py", { class: "Other" }).start(never))).message).toContain("no class Other");
    const python = await failureOf(build("legacy.py", { python: "python-that-is-not-there" }).start(never));
    expect(python.message).toBe("the engine of service 'test' cannot be started");
  });
});

test("stopping calls wrapperFini", async () => {
  const folder = await mkdtemp(join(tmpdir(), "athena-fini-"));
  const file = join(folder, "log");
  const engine = await started("legacy.py", { config: { log_file: file } });
  await engine.stop();
  expect(await Bun.file(file).text()).toBe("fini\n");
  await rm(folder, { recursive: true });
});
