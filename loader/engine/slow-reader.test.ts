import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../config/logger.ts";
import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { Engine, EngineInput } from "./engine.ts";
import { createNativeEngine } from "./native/engine.ts";
import { createPythonEngine } from "./python/engine.ts";

/* User code that makes results faster than they are read, in each way in which it can. */

const wrappers = join(import.meta.dir, "../../tests/fixtures/wrappers");
const never = new AbortController().signal;
const count = 2000;
const running: Engine[] = [];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-eager-"));
  const source = join(wrappers, "native.cpp");
  const command = ["g++", "-O1", "-std=c++17", "-shared", "-fPIC", "-pthread", source, "-o", join(folder, "eager.so")];
  expect(Bun.spawnSync(command).stderr.toString()).toBe("");
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((engine) => engine.stop()));
});

afterAll(() => rm(folder, { recursive: true }));

const common = {
  service: "eager",
  workers: 1,
  threads: 2,
  startTimeoutMs: 20_000,
  logger: createLogger("test", { write: () => {} }),
  onHealth: () => {},
  onProgress: () => {},
};

function create(kind: string, log: string): Engine {
  const engine =
    kind === "native"
      ? createNativeEngine({ ...common, library: join(folder, "eager.so"), async: true, config: { log_file: log } })
      : createPythonEngine({
          ...common,
          wrapper: join(wrappers, "eager.py"),
          class: kind,
          python: "python3",
          config: {},
        });
  running.push(engine);
  return engine;
}

function requestOf(sid: string): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "eager",
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

async function* inputOf(kind: string, log: string): AsyncGenerator<EngineInput> {
  const [name, text] = kind === "native" ? ["text", "many"] : ["path", log];
  const data = new TextEncoder().encode(text);
  const attributes = { status: "2" };
  yield { parts: [{ $typeName: "athena.v1.Part", name, type: PartType.TEXT, attributes, data }], last: true };
}

const madeIn = async (log: string): Promise<number> =>
  (await readFile(log, "utf8").catch(() => "")).split("\n").filter((line) => line === "made").length;

/** How many results were made, once no more are made for a while. */
async function stalledAt(log: string): Promise<number> {
  let made = -1;
  for (let next = await madeIn(log); next !== made || next === 0; next = await madeIn(log)) {
    made = next;
    await Bun.sleep(200);
  }
  return made;
}

describe("results that are made faster than they are read", () => {
  for (const kind of ["sync", "task", "Called", "native"]) {
    test(`wait where they are made, and all come, in order (${kind})`, async () => {
      const log = join(folder, `${kind}.log`);
      const engine = create(kind, log);
      await engine.start(never);
      const results = engine.stream(requestOf(kind), inputOf(kind, log), never)[Symbol.asyncIterator]();
      const first = await results.next();
      expect(new TextDecoder().decode(first.value?.parts[0]?.data)).toBe("0");
      expect(await stalledAt(log)).toBeLessThanOrEqual(258);
      const texts = ["0"];
      for (let step = await results.next(); step.done !== true; step = await results.next()) {
        texts.push(new TextDecoder().decode(step.value.parts[0]?.data));
      }
      expect(texts.slice(0, count)).toEqual(Array.from({ length: count }, (_, number) => String(number)));
      expect(texts).toHaveLength(count + 1);
    });

    test(`do not keep their session from its end when the reader leaves (${kind})`, async () => {
      const log = join(folder, `${kind}-left.log`);
      const engine = create(kind, log);
      await engine.start(never);
      for (const sid of ["a", "b", "c"]) {
        for await (const { parts } of engine.stream(requestOf(sid), inputOf(kind, log), never)) {
          expect(new TextDecoder().decode(parts[0]?.data)).toBe("0");
          break;
        }
      }
    });
  }
});
