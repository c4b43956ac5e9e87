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
const flags = ["-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"];
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
async function printedDuring(isAsync: boolean, work: (engine: Engine) => Promise<void>): Promise<string> {
  let printed = "";
  const engine = createNativeEngine({
    service: "test",
    library,
    async: isAsync,
    workers: 1,
    threads: 4,
    config: { greeting: "hi " },
    startTimeoutMs: 30_000,
    logger: createLogger("test", { write: (line: string) => (printed += line) }),
    onHealth: () => {},
    onProgress: () => {},
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

async function useEverything(engine: Engine): Promise<void> {
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
}

async function runSession(engine: Engine, sid: string, chunks: number, signal: AbortSignal, onResult = () => {}) {
  async function* inputs(): AsyncGenerator<EngineInput> {
    for (let left = chunks; left > 0; left -= 1) {
      const status = left === 1 ? "2" : "1";
      const parts = requestOf("chunk", "", sid).parts.map((part) => ({ ...part, attributes: { status } }));
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
