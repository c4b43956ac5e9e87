import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine, EngineInput } from "../engine.ts";
import { buildNativeHost } from "./build.ts";
import { createNativeEngine } from "./engine.ts";

/** Host and wrapper, both compiled so that a wrong access or a leak is reported the moment it happens, or at the end. */
const flags = ["-g", "-O0", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"];
const source = join(import.meta.dir, "../../../tests/fixtures/wrappers/native.cpp");
const never = new AbortController().signal;
let folder: string;
let library: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-memory-"));
  library = join(folder, "libwrapper.so");
  const command = ["g++", "-std=c++17", "-shared", "-fPIC", "-pthread", ...flags, source, "-o", library];
  expect(Bun.spawnSync(command).stderr.toString()).toBe("");
  await buildHost();
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const buildHost = () => buildNativeHost({ folder: join(folder, "host"), flags });

function requestOf(text: string, mode: string, sid: string): InferRequest {
  const data = new TextEncoder().encode(text);
  return {
    $typeName: "athena.v1.InferRequest",
    service: "test",
    version: "",
    sid,
    headers: {},
    parameters: { mode },
    expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.TEXT, attributes: {} }],
    parts: [{ $typeName: "athena.v1.Part", name: "text", type: PartType.TEXT, attributes: {}, data }],
    resourceIds: [],
    priority: 0,
  };
}

/** Runs some work on an engine, stops it, and gives what its process printed. */
async function printedDuring(
  isAsync: boolean,
  work: (engine: Engine) => Promise<void>,
  config: Record<string, string> = {},
): Promise<string> {
  let printed = "";
  const engine = createNativeEngine({
    service: "test",
    library,
    async: isAsync,
    workers: 1,
    threads: 4,
    config: { greeting: "hi ", ...config },
    startTimeoutMs: 30_000,
    logger: createLogger("test", { write: (line: string) => (printed += line) }),
    onHealth: () => {},
    onProgress: () => {},
    resources: { maxCount: 10, maxBytes: 10_000_000, timeoutMs: 10_000 },
    buildHost,
  });
  await engine.start(never);
  try {
    await work(engine);
  } finally {
    await engine.stop();
  }
  return printed;
}

/** A file's text; nothing while it is not there. */
const textOf = (path: string): Promise<string> =>
  Bun.file(path)
    .text()
    .catch(() => "");

async function useEverything(engine: Engine): Promise<void> {
  const resourcesInUse = useResources(engine);
  const once = ["a", "", "twice", "x".repeat(200_000)].flatMap((text, row) =>
    Array.from({ length: 10 }, (_, column) => requestOf(text, "", `once-${row}-${column}`)),
  );
  await Promise.allSettled(once.map((request) => engine.infer(request, never)));
  await Promise.all(Array.from({ length: 10 }, (_, index) => runSession(engine, `whole-${index}`, 3, never)));
  const hangUps = Array.from({ length: 10 }, async (_, index) => {
    const abort = new AbortController();
    const session = runSession(engine, `cut-${index}`, Number.POSITIVE_INFINITY, abort.signal, () =>
      abort.abort(new Error("hung up")),
    );
    await expect(session).rejects.toThrow();
  });
  await Promise.all(hangUps);
  for (const text of ["late", "broken"]) await runSession(engine, text, 1, never, () => {}, text).catch(() => {});
  await resourcesInUse;
}

/** Loads, names, replaces, refuses and unloads resources, small and large, from several sides at once. */
async function useResources({ resources, infer }: Engine): Promise<void> {
  const users = Array.from({ length: 5 }, async (_, user) => {
    for (const text of ["small", "x".repeat(200_000), "broken", "small"]) {
      const { parts } = requestOf(text, "", "");
      await resources?.load(user + 1, parts, never).catch(() => {});
      await infer({ ...requestOf("x", "", `named-${user}-${text.length}`), resourceIds: [user + 1] }, never).catch(
        () => {},
      );
    }
    await resources?.unload(user + 1, never);
  });
  await Promise.all(users);
}

async function runSession(
  engine: Engine,
  sid: string,
  chunks: number,
  signal: AbortSignal,
  onResult = () => {},
  text = "chunk",
) {
  async function* inputs(): AsyncGenerator<EngineInput> {
    for (let left = chunks; left > 0; left -= 1) {
      const status = left === 1 ? "2" : "1";
      const parts = requestOf(text, "", sid).parts.map((part) => ({ ...part, attributes: { status } }));
      yield { parts, last: left === 1 };
    }
  }
  let last: Status | undefined;
  for await (const result of engine.stream({ ...requestOf("", "", sid), parts: [] }, inputs(), signal)) {
    last = result.status;
    onResult();
  }
  expect(last).toBe(Status.END);
}

describe("under AddressSanitizer", () => {
  for (const isAsync of [false, true]) {
    test(`calls, refusals, sessions and hang-ups neither leak nor touch foreign memory, ${isAsync ? "called back" : "called"}`, async () => {
      const printed = await printedDuring(isAsync, useEverything);
      expect(printed).not.toContain("Sanitizer");
      expect(printed).not.toContain("runtime error");
    });
  }

  test("nor do tags that a library keeps, and meters and traces", async () => {
    const log = join(folder, "late");
    const use = async (engine: Engine): Promise<void> => {
      for (let i = 0; i < 20; i += 1) {
        await runSession(engine, `kept-${i}`, 1, never, () => {}, "late");
        await engine.infer(requestOf("twice", "", `twice-${i}`), never);
      }
      // The library calls back when its sessions are long over, and notes it.
      const deadline = performance.now() + 10_000;
      while ((await textOf(log)).split("\n").length < 21 && performance.now() < deadline) await Bun.sleep(10);
    };
    const printed = await printedDuring(true, use, { log_file: log });
    expect(printed).not.toContain("Sanitizer");
    const told = await printedDuring(false, async (engine) => {
      await engine.infer(requestOf("x", "meter", "s"), never);
    });
    expect(told).not.toContain("Sanitizer");
    expect(told).toContain('"key":"words","count":3');
  });

  test("a wrapper that reads past its input is told of, which shows that the check works", async () => {
    const printed = await printedDuring(false, async (engine) => {
      await expect(engine.infer(requestOf("x", "overread", "s"), never)).rejects.toThrow("ended");
    });
    expect(printed).toContain("heap-buffer-overflow");
  });

  test("and so is one that loses a list", async () => {
    const printed = await printedDuring(false, async (engine) => {
      await engine.infer(requestOf("x", "leak", "s"), never);
    });
    expect(printed).toContain("LeakSanitizer: detected memory leaks");
  });
});
