import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { Engine, EngineInput } from "../engine.ts";
import { createPythonEngine } from "./engine.ts";

const wrappers = join(import.meta.dir, "../../../tests/fixtures/wrappers");
const never = new AbortController().signal;
const running: Engine[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});

async function started(wrapper: string, config: Record<string, unknown> = {}): Promise<Engine> {
  const engine = createPythonEngine({
    service: "test",
    wrapper: join(wrappers, wrapper),
    python: "python3",
    workers: 1,
    threads: 4,
    config,
    startTimeoutMs: 20_000,
    logger: createLogger("test", { write: () => {} }),
    onHealth: () => {},
    onProgress: () => {},
  });
  running.push(engine);
  await engine.start(never);
  return engine;
}

function requestOf(sid: string): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "test",
    version: "",
    sid,
    headers: {},
    parameters: {},
    expects: [{ $typeName: "athena.v1.PartDescription", name: "result", type: PartType.TEXT, attributes: {} }],
    parts: [],
    resourceIds: [],
    priority: 0,
  };
}

function chunk(text: string, status: number): EngineInput {
  const attributes = { status: String(status) };
  const data = new TextEncoder().encode(text);
  const part: Part = { $typeName: "athena.v1.Part", name: "text", type: PartType.TEXT, attributes, data };
  return { parts: [part], last: status === 2 };
}

/** Chunks with their places: begin, continue, end. */
async function* chunks(...texts: readonly string[]): AsyncGenerator<EngineInput> {
  for (const [index, text] of texts.entries()) yield chunk(text, index === texts.length - 1 ? 2 : Math.min(index, 1));
}

async function collect(engine: Engine, sid: string, inputs: AsyncIterable<EngineInput>): Promise<string[]> {
  const results: string[] = [];
  for await (const { parts, status } of engine.stream(requestOf(sid), inputs, never)) {
    results.push(`${new TextDecoder().decode(parts[0]?.data)} ${Status[status]}`);
  }
  return results;
}

async function eventually(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + 5000;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await Bun.sleep(10);
  }
  return false;
}

describe("a streaming wrapper", () => {
  test("with threads and callbacks answers each chunk in order, and many sessions one after the other", async () => {
    const engine = await started("stream.py");
    // More sessions than the wrapper has handles: each must come back.
    for (let i = 0; i < 12; i += 1) {
      expect(await collect(engine, `s${i}`, chunks("a", "b", "c"))).toEqual(["1:a BEGIN", "2:b CONTINUE", "3:c END"]);
    }
  });

  test("keeps sessions that run at the same time apart", async () => {
    const engine = await started("stream.py");
    const sessions = ["w", "x", "y", "z"].map((name) =>
      collect(engine, name, chunks(...Array.from({ length: 50 }, (_, i) => `${name}${i}`))),
    );
    for (const [index, results] of (await Promise.all(sessions)).entries()) {
      expect(results).toHaveLength(50);
      expect(results[49]).toBe(`50:${"wxyz"[index]}49 END`);
    }
  });

  test("that is read from gives its results, with the tag under its older name", async () => {
    expect(await collect(await started("reading.py"), "s", chunks("a", "b"))).toEqual(["A BEGIN", "B END"]);
  });

  test("refuses a session with the id of one that goes on, which still gets its results", async () => {
    const engine = await started("stream.py");
    const refused = Promise.withResolvers<void>();
    const first = (async function* () {
      yield chunk("a", 0);
      await refused.promise;
      yield chunk("b", 2);
    })();
    const results = engine.stream(requestOf("same"), first, AbortSignal.timeout(10_000))[Symbol.asyncIterator]();
    expect((await results.next()).done).toBe(false);
    const error = await collect(engine, "same", chunks("x")).catch(ServingError.from);
    expect(error).toMatchObject({ reason: "ENGINE_FAILED", message: expect.stringContaining("is in use") });
    refused.resolve();
    expect((await results.next()).value).toMatchObject({ status: Status.END });
    expect((await results.next()).done).toBe(true);
  });

  test("ends a session with its own code and words", async () => {
    const engine = await started("stream.py");
    const error = await collect(engine, "s", chunks("a", "boom", "c")).catch(ServingError.from);
    expect(error).toMatchObject({ reason: "ENGINE_FAILED", engineCode: 42, message: "the text exploded" });
    expect(await collect(engine, "t", chunks("a"))).toHaveLength(1);
  });

  for (const how of ["leaves", "hangs up"]) {
    test(`is destroyed when its caller ${how} in the middle, and its handle is free again`, async () => {
      const folder = await mkdtemp(join(tmpdir(), "athena-stream-"));
      const log = join(folder, "log");
      const engine = await started("stream.py", { log_file: log });
      const caller = new AbortController();
      async function* endless(): AsyncGenerator<EngineInput> {
        yield chunk("a", 0);
        await new Promise(() => {});
      }
      const session = engine.stream(requestOf("s"), endless(), caller.signal);
      const reading = (async () => {
        for await (const _ of session) {
          if (how === "leaves") break;
          caller.abort(new ServingError("CANCELED", "hung up"));
        }
      })();
      if (how === "leaves") await reading;
      else await expect(reading).rejects.toThrow("hung up");
      expect(await eventually(async () => (await Bun.file(log).exists()) && (await Bun.file(log).text()) !== "")).toBe(
        true,
      );
      for (let i = 0; i < 6; i += 1) expect(await collect(engine, `t${i}`, chunks("a"))).toHaveLength(1);
      await rm(folder, { recursive: true });
    });
  }

  test("is destroyed before wrapperFini when its service stops in the middle", async () => {
    const folder = await mkdtemp(join(tmpdir(), "athena-stream-"));
    const log = join(folder, "log");
    const engine = await started("stream.py", { log_file: log });
    async function* endless(): AsyncGenerator<EngineInput> {
      yield chunk("a", 0);
      await new Promise(() => {});
    }
    const session = engine.stream(requestOf("s"), endless(), never)[Symbol.asyncIterator]();
    expect((await session.next()).done).toBe(false);
    await engine.stop();
    expect(await Bun.file(log).text()).toMatch(/^destroyed .*\nfini\n$/);
    await rm(folder, { recursive: true });
  });

  test("fails its sessions at once when its service is stopped", async () => {
    const engine = await started("stream.py");
    async function* endless(): AsyncGenerator<EngineInput> {
      yield chunk("a", 0);
      await new Promise(() => {});
    }
    const outcome = (async () => {
      for await (const _ of engine.stream(requestOf("s"), endless(), never)) await engine.stop();
    })();
    await expect(outcome).rejects.toMatchObject({ reason: "SERVICE_NOT_READY" });
  });
});
