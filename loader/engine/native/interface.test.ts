import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Engine, EngineInput } from "../engine.ts";
import type { NativeEngineOptions } from "./engine.ts";
import {
  ask,
  compileLibrary,
  converse,
  eventually,
  type LibraryEngine,
  removeFolder,
  requestOf,
  startLibrary,
  textPart,
} from "./test-library.ts";

const running: Engine[] = [];
let folder: string;
let library: string;
let plain: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-interface-"));
  library = await compileLibrary("native.cpp", folder);
  plain = await compileLibrary("plain.c", folder);
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});

afterAll(() => removeFolder(folder));

async function start(changes: Partial<NativeEngineOptions> = {}, path = library): Promise<LibraryEngine> {
  const started = await startLibrary(path, changes);
  running.push(started.engine);
  return started;
}

async function errorOf(call: Promise<unknown>): Promise<ServingError> {
  return call.then(
    () => new ServingError("INTERNAL", "it was done"),
    (error) => ServingError.from(error),
  );
}

/** A file's text; nothing while it is not there. */
const textOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

const output = ({ lines }: LibraryEngine) => lines.filter(({ msg }) => msg === "output").map((line) => line.output);

describe("a wrapper library", () => {
  test("says its version, and tells meters and traces with the requests that they belong to", async () => {
    const told = await start();
    expect(told.progress).toEqual(["wrapperVersion: 1.2.3"]);
    await ask(told.engine, requestOf("x", { mode: "meter", sid: "mine" }));
    expect(told.meters).toEqual(["words 3", "words 4"]);
    expect(told.lines.filter(({ msg }) => msg === "meter" || msg === "trace")).toMatchObject([
      { level: "info", msg: "meter", sid: "mine", key: "words", count: 3 },
      { level: "info", msg: "meter", sid: "mine", key: "words", count: 4 },
      { level: "info", msg: "trace", sid: "mine", key: "model", value: "small" },
      { level: "info", msg: "trace", sid: "", key: "", value: "" },
    ]);
  });

  test("says in its own words why a call failed, or which call did when it has none", async () => {
    const { engine } = await start();
    const withoutParts: InferRequest = { ...requestOf(""), parts: [] };
    for (const [request, code, message] of [
      [requestOf(""), 100, "the text is empty"],
      [withoutParts, 100, "the text is empty"],
      [requestOf("x", { mode: "code" }), 55, "wrapperExec returned 55"],
    ] as const) {
      expect(await errorOf(ask(engine, request))).toMatchObject({ reason: "ENGINE_FAILED", engineCode: code, message });
    }
    const write = await errorOf(converse(engine, requestOf(""), ["a", "broken", "c"]));
    expect(write).toMatchObject({ reason: "ENGINE_FAILED", engineCode: 300, message: "the chunk is broken" });
  });

  test("that throws whatever it likes, or answers nothing, fails its own request, in the same process", async () => {
    const told = await start();
    const thrown = await errorOf(ask(told.engine, requestOf("x", { mode: "throw" })));
    expect(thrown).toMatchObject({ reason: "ENGINE_FAILED", message: "the wrapper threw what is no std::exception" });
    const nothing = await errorOf(ask(told.engine, requestOf("x", { mode: "nothing" })));
    expect(nothing).toMatchObject({ reason: "ENGINE_FAILED", message: "the wrapper returned no data" });
    expect(await ask(told.engine, requestOf("x"))).toBe("x|s|");
    expect(told.lines.filter(({ msg }) => msg === "a worker ended")).toEqual([]);
  });

  test("gets data by its length, whatever bytes it has", async () => {
    const { engine } = await start();
    expect(await ask(engine, requestOf("a\0b\0"))).toBe("a\0b\0|s|");
  });

  test("is told the place of each chunk in its session, by who sent it or else by the order", async () => {
    const { engine } = await start();
    const places = async (statuses: readonly (string | undefined)[]) => {
      async function* inputs(): AsyncGenerator<EngineInput> {
        for (const [index, status] of statuses.entries()) {
          const parts = [textPart("x", status === undefined ? {} : { status })];
          yield { parts, last: index === statuses.length - 1 };
        }
      }
      const results: Status[] = [];
      const request: InferRequest = { ...requestOf(""), parts: [] };
      for await (const { status } of engine.stream(request, inputs(), new AbortController().signal)) {
        results.push(status);
      }
      return results;
    };
    const inOrder = [Status.BEGIN, Status.CONTINUE, Status.CONTINUE, Status.END];
    expect(await places([undefined, undefined, undefined, undefined])).toEqual(inOrder);
    expect(await places(["0", "1", "1", "2"])).toEqual(inOrder);
    expect(await places(["0", "2"])).toEqual([Status.BEGIN, Status.END]);
  });

  for (const isAsync of [false, true]) {
    const how = isAsync ? "called back" : "called";
    test(`computes 32 calls at once of 1,000 that wait, and mixes nothing up, ${how}`, async () => {
      const { engine } = await start({ threads: 32, async: isAsync });
      const requests = Array.from({ length: 1000 }, (_, i) => requestOf(`text ${i}`, { sid: `sid ${i}` }));
      const answers = await Promise.all(requests.map((request) => ask(engine, request)));
      expect(answers).toEqual(answers.map((_, i) => (isAsync ? `async text ${i}` : `text ${i}|sid ${i}|`)));
    });

    test(`keeps 32 sessions apart that go on at the same time, ${how}`, async () => {
      const { engine } = await start({ threads: 32, async: isAsync });
      const sessions = Array.from({ length: 32 }, (_, i) => {
        const texts = Array.from({ length: 20 }, (_, chunk) => `${i}.${chunk}`);
        return converse(engine, requestOf("", { sid: `sid ${i}` }), texts);
      });
      for (const [i, results] of (await Promise.all(sessions)).entries()) {
        expect(results).toEqual(results.map((_, chunk) => `${i}.${chunk}!`));
        expect(results).toHaveLength(20);
      }
    });

    test(`ends its open sessions before wrapperFini when it is stopped, ${how}`, async () => {
      const log = join(folder, `fini-${isAsync}`);
      const { engine } = await start({ async: isAsync, config: { log_file: log } });
      const opened = Promise.withResolvers<void>();
      let open = 0;
      const sessions = Array.from({ length: 3 }, (_, i) =>
        errorOf(
          converse(engine, requestOf("", { sid: `${i}` }), Array(1_000_000).fill("x"), undefined, () => {
            open += 1;
            if (open === 30) opened.resolve();
          }),
        ),
      );
      await opened.promise;
      await engine.stop();
      await Promise.all(sessions);
      expect(await textOf(log)).toBe("fini, live lists: 0, sessions: 0\n");
    });
  }

  test("is given wrapperFini also when a session does not end", async () => {
    const log = join(folder, "fini-stuck");
    const { engine } = await start({ config: { log_file: log } });
    const session = errorOf(converse(engine, requestOf(""), ["a", "stuck", "c"]));
    await eventually(async () => (await textOf(log)) === "stuck\n");
    await engine.stop();
    await session;
    expect(await textOf(log)).toStartWith("stuck\nfini, ");
  });

  test("may keep a tag and call back when its session is over: it hears that nobody waits", async () => {
    const log = join(folder, "late");
    const { engine } = await start({ async: true, config: { log_file: log } });
    await converse(engine, requestOf("", { sid: "gone" }), ["late"]);
    await eventually(async () => (await textOf(log)) === "late for gone: -1\n");
  });

  test("is asked about a session that does not end though nobody waits for it", async () => {
    const log = join(folder, "stuck");
    const told = await start({ config: { log_file: log } });
    const caller = new AbortController();
    const request = requestOf("", { sid: "mine" });
    const session = errorOf(converse(told.engine, request, ["a", "stuck", "c"], caller.signal));
    await eventually(async () => (await textOf(log)) === "stuck\n");
    caller.abort(new ServingError("CANCELED", "gone"));
    expect((await session).reason).toBe("CANCELED");
    await eventually(() => told.lines.some(({ msg }) => msg === "a worker ended"));
    expect(output(told)).toContain("session mine does not end, wrapperDebugInfo: at chunk 2");
  });

  test("hears nothing of it when nobody waits for what it says, but the log does", async () => {
    const limits = { maxCount: 1, maxBytes: 100, timeoutMs: 10_000 };
    const told = await start({ resources: limits });
    const [resource] = requestOf("unwilling").parts;
    if (resource === undefined) throw new Error("no part");
    await told.engine.resources?.load(1, [resource], new AbortController().signal);
    expect(await converse(told.engine, requestOf("", { resourceIds: [1] }), ["a"])).toEqual(["unwilling()|a!"]);
    await eventually(() => output(told).includes("wrapperDestroy returned 301: the session does not want to end"));
  });
});

describe("a wrapper library in C", () => {
  test("answers once-calls, sessions and callbacks, with a resource, and its output is told at once", async () => {
    const limits = { maxCount: 1, maxBytes: 100, timeoutMs: 10_000 };
    const told = await start({ config: { say: "hello" }, resources: limits }, plain);
    await eventually(() => output(told).includes("hello"));
    expect(told.progress).toEqual(["wrapperVersion: "]);
    expect(await ask(told.engine, requestOf("text"))).toBe("TEXT");
    expect(await errorOf(ask(told.engine, requestOf("")))).toMatchObject({ message: "there is nothing to do" });
    expect(await converse(told.engine, requestOf(""), ["a", "b"])).toEqual(["A", "B"]);
    const never = new AbortController().signal;
    await told.engine.resources?.load(7, requestOf("seven").parts, never);
    expect(await ask(told.engine, requestOf("text", { resourceIds: [7] }))).toBe("seven: TEXT");
    await told.engine.resources?.unload(7, never);
    const { engine } = await start({ async: true }, plain);
    expect(await ask(engine, requestOf("text"))).toBe("TEXT");
  });
});
