import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { createSupervisor, type Supervisor, type SupervisorOptions } from "./supervisor.ts";

const never = new AbortController().signal;
const running: Supervisor[] = [];
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "resources-test-"));
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((supervisor) => supervisor.stop()));
  await rm(folder, { recursive: true });
});

async function start(changes: Partial<SupervisorOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const supervisor = createSupervisor({
    service: "fixture",
    command: [process.execPath, join(import.meta.dir, "fixture-worker.ts")],
    env: childEnvironment(),
    config: {},
    workers: 2,
    startTimeoutMs: 20_000,
    stopGraceMs: 1000,
    cancelGraceMs: 200,
    maxFrameBytes: 64_000_000,
    resources: { maxCount: 10, maxBytes: 1000, timeoutMs: 20_000 },
    logger: createLogger("test", { write: (line: string) => void lines.push(JSON.parse(line)) }),
    now: () => performance.now(),
    random: () => 0,
    onHealth: () => {},
    onProgress: () => {},
    ...changes,
  });
  running.push(supervisor);
  await supervisor.start(never);
  return { supervisor, resources: supervisor.resources, lines };
}

function partsOf(text: string): Part[] {
  const data = new TextEncoder().encode(text);
  return [{ $typeName: "athena.v1.Part", name: "words", type: PartType.TEXT, attributes: {}, data }];
}

function ask(what: string, ...resourceIds: number[]): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "fixture",
    version: "",
    sid: "s",
    headers: {},
    parameters: { do: what },
    expects: [],
    parts: [],
    resourceIds,
    priority: 0,
  };
}

async function answerTo(supervisor: Supervisor, request: InferRequest): Promise<string> {
  const { parts } = await supervisor.infer(request, never);
  return new TextDecoder().decode(parts[0]?.data);
}

async function errorOf(call: Promise<unknown>): Promise<ServingError> {
  return call.then(
    () => new ServingError("INTERNAL", "it was done"),
    (error) => ServingError.from(error),
  );
}

/** What each of the workers has: they are asked until so many have answered. */
async function holdings(supervisor: Supervisor, workers: number): Promise<readonly string[]> {
  const held = new Map<string, string>();
  const deadline = performance.now() + 10_000;
  while (held.size < workers && performance.now() < deadline) {
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => answerTo(supervisor, ask("hold"))));
    for (const answer of answers) {
      if (answer.status === "rejected") continue;
      const [pid = "", ids = ""] = answer.value.split(": ");
      held.set(pid, ids);
    }
  }
  return [...held.values()];
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("the condition never held");
    await Bun.sleep(10);
  }
}

describe("personal resources", () => {
  test("are in every worker, replaced and taken out, and only calls that name loaded ones come through", async () => {
    const { supervisor, resources } = await start();
    await resources.load(5, partsOf("five"), never);
    await resources.load(6, partsOf("six"), never);
    expect(resources.list().map(({ id, bytes }) => [id, bytes])).toEqual([
      [5, 4],
      [6, 3],
    ]);
    expect(await holdings(supervisor, 2)).toEqual(["5,6", "5,6"]);
    const answers = await Promise.all(Array.from({ length: 8 }, () => answerTo(supervisor, ask("name", 6, 5))));
    expect(answers).toEqual(answers.map(() => "six,five"));
    await resources.load(5, partsOf("new"), never);
    expect(await answerTo(supervisor, ask("name", 5))).toBe("new");
    await resources.unload(5, never);
    const unknown = await errorOf(supervisor.infer(ask("name", 6, 5), never));
    expect(unknown).toMatchObject({
      reason: "RESOURCE_NOT_FOUND",
      message: "service 'fixture' has no personal resource 5",
    });
    expect(await errorOf(resources.unload(5, never))).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
    expect(await holdings(supervisor, 2)).toEqual(["6", "6"]);
  });

  test("are named by sessions too", async () => {
    const { supervisor } = await start({ workers: 1 });
    const session = async () => {
      for await (const _ of supervisor.stream(ask("name", 5), (async function* () {})(), never)) break;
    };
    expect(await errorOf(session())).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
  });

  test("are loaded into nothing when one worker refuses, in that worker's own words", async () => {
    const { supervisor, resources } = await start();
    const refused = await errorOf(resources.load(5, partsOf(`${folder}/first then refuse`), never));
    expect(refused).toMatchObject({ reason: "ENGINE_FAILED", engineCode: 7, message: "I do not like this" });
    expect(resources.list()).toEqual([]);
    expect(await holdings(supervisor, 2)).toEqual(["", ""]);
  });

  test("are loaded into nothing when one ends a worker", async () => {
    const { supervisor, resources } = await start();
    const crashed = await errorOf(resources.load(5, partsOf(`${folder}/first then die`), never));
    expect(crashed.reason).toBe("ENGINE_CRASHED");
    expect(await holdings(supervisor, 2)).toEqual(["", ""]);
  });

  test("are loaded into nothing when one worker hangs, which is killed, or the caller hangs up", async () => {
    const { supervisor, resources } = await start({ resources: { maxCount: 10, maxBytes: 1000, timeoutMs: 500 } });
    const late = await errorOf(resources.load(5, partsOf(`${folder}/first then hang`), never));
    expect(late).toMatchObject({
      reason: "DEADLINE_EXCEEDED",
      message: "personal resource 5 of service 'fixture' was not loaded or unloaded within 500 ms",
    });
    expect(await holdings(supervisor, 2)).toEqual(["", ""]);
    const caller = new AbortController();
    const load = errorOf(resources.load(5, partsOf(`${folder}/second then hang`), caller.signal));
    caller.abort(new ServingError("CANCELED", "gone"));
    expect(await load).toMatchObject({ reason: "CANCELED" });
    expect(await holdings(supervisor, 2)).toEqual(["", ""]);
  });

  test("are gone also when the user's code will not let them go", async () => {
    const { supervisor, resources } = await start({ workers: 1 });
    await resources.load(5, partsOf("clings"), never);
    expect(await errorOf(resources.unload(5, never))).toMatchObject({ engineCode: 8, message: "it clings" });
    expect(await errorOf(supervisor.infer(ask("name", 5), never))).toMatchObject({ reason: "RESOURCE_NOT_FOUND" });
  });

  test("stay while a call goes on with them, and no new one is let in while somebody waits for its end", async () => {
    const { supervisor, resources } = await start();
    await resources.load(5, partsOf("five"), never);
    const path = join(folder, "end");
    const request = ask("wait", 5);
    const call = errorOf(supervisor.infer({ ...request, parameters: { ...request.parameters, path } }, never));
    const caller = new AbortController();
    const impatient = errorOf(resources.unload(5, caller.signal));
    await eventually(() => resources.find(5) === undefined);
    expect((await errorOf(supervisor.infer(ask("name", 5), never))).reason).toBe("RESOURCE_NOT_FOUND");
    caller.abort(new ServingError("DEADLINE_EXCEEDED", "too late"));
    expect(await impatient).toMatchObject({
      reason: "SERVICE_BUSY",
      message: "personal resource 5 of service 'fixture' is in use",
    });
    expect(await answerTo(supervisor, ask("name", 5))).toBe("five");
    const patient = resources.load(5, partsOf("new"), never);
    await writeFile(path, "");
    await patient;
    expect((await call).message).toBe("it was done");
    expect(await answerTo(supervisor, ask("name", 5))).toBe("new");
  });

  test("are as many, and as large, as they may be", async () => {
    const { resources } = await start({ workers: 1, resources: { maxCount: 3, maxBytes: 100, timeoutMs: 20_000 } });
    expect((await errorOf(resources.load(1, partsOf("x".repeat(101)), never))).reason).toBe("PAYLOAD_TOO_LARGE");
    const loads = Array.from({ length: 5 }, (_, i) => errorOf(resources.load(i + 1, partsOf("x".repeat(20)), never)));
    const reasons = (await Promise.all(loads)).map(({ reason }) => reason);
    expect(reasons).toEqual(["INTERNAL", "INTERNAL", "INTERNAL", "SERVICE_BUSY", "SERVICE_BUSY"]);
    // The one in whose place it comes makes room.
    await resources.load(1, partsOf("x".repeat(60)), never);
    const full = await errorOf(resources.load(2, partsOf("x".repeat(21)), never));
    expect(full.message).toBe(
      "service 'fixture' has no room for personal resource 2: it has 2 of 3, with 80 of 100 bytes",
    );
    expect(resources.list().map(({ bytes }) => bytes)).toEqual([20, 20, 60]);
  });

  test("of one id are loaded and unloaded one after the other, in the order of the calls", async () => {
    const { supervisor, resources } = await start();
    const operations = Array.from({ length: 20 }, (_, i) =>
      i % 5 === 4 ? resources.unload(5, never) : resources.load(5, partsOf(`${i}`), never),
    );
    operations.push(resources.load(5, partsOf("last"), never));
    await Promise.all(operations);
    expect(await answerTo(supervisor, ask("name", 5))).toBe("last");
    expect(await holdings(supervisor, 2)).toEqual(["5", "5"]);
  });
});

describe("a worker that is started later", () => {
  test("has every resource before it gets a call", async () => {
    const { supervisor, resources } = await start({ workers: 1 });
    await Promise.all(Array.from({ length: 5 }, (_, i) => resources.load(i + 1, partsOf(`text ${i + 1}`), never)));
    for (let i = 0; i < 3; i += 1) {
      expect((await errorOf(supervisor.infer(ask("crash"), never))).reason).toBe("ENGINE_CRASHED");
      let answer = "";
      await eventually(async () => {
        const outcome = await Promise.allSettled([answerTo(supervisor, ask("name", 1, 3, 5))]);
        if (outcome[0].status === "rejected") {
          expect(ServingError.from(outcome[0].reason).reason).toBe("SERVICE_NOT_READY");
          return false;
        }
        answer = outcome[0].value;
        return true;
      });
      expect(answer).toBe("text 1,text 3,text 5");
    }
  });

  test("takes out everywhere what it cannot load, and serves", async () => {
    const { supervisor, resources, lines } = await start();
    await resources.load(1, partsOf("one"), never);
    await resources.load(2, partsOf(`${folder}/fault causes refuse`), never);
    await writeFile(join(folder, "fault"), "");
    await errorOf(supervisor.infer(ask("crash"), never));
    await eventually(() => resources.find(2) === undefined);
    expect((await errorOf(supervisor.infer(ask("name", 2), never))).reason).toBe("RESOURCE_NOT_FOUND");
    await eventually(async () => (await holdings(supervisor, 2)).join("|") === "1|1");
    expect(lines.filter((line) => line.resource === 2)).toMatchObject([
      { msg: "a resource is taken out: a new worker cannot load it", err: { message: "I do not like this" } },
    ]);
  });

  test("that is ended by one twice does without it the third time", async () => {
    const { supervisor, resources, lines } = await start({ workers: 1 });
    await resources.load(1, partsOf("one"), never);
    await resources.load(2, partsOf(`${folder}/fault causes die`), never);
    await resources.load(3, partsOf("three"), never);
    await writeFile(join(folder, "fault"), "");
    await errorOf(supervisor.infer(ask("crash"), never));
    await eventually(async () => (await errorOf(supervisor.infer(ask("name", 1, 3), never))).message === "it was done");
    expect(resources.list().map(({ id }) => id)).toEqual([1, 3]);
    expect(lines.filter((line) => line.resource === 2).length).toBe(1);
    expect(lines.filter((line) => line.msg === "a worker ended").length).toBe(3);
  });

  test("that hangs over one is killed, and the next does without it", async () => {
    const limits = { maxCount: 10, maxBytes: 1000, timeoutMs: 500 };
    const { supervisor, resources } = await start({ workers: 1, resources: limits });
    await resources.load(1, partsOf(`${folder}/fault causes hang`), never);
    await resources.load(2, partsOf("two"), never);
    await writeFile(join(folder, "fault"), "");
    await errorOf(supervisor.infer(ask("crash"), never));
    await eventually(async () => (await errorOf(supervisor.infer(ask("name", 2), never))).message === "it was done");
    expect(resources.list().map(({ id }) => id)).toEqual([2]);
  });

  test("and hangs over one does not keep its engine from stopping, nor those who load meanwhile waiting", async () => {
    const { supervisor, resources, lines } = await start({ workers: 1 });
    await resources.load(1, partsOf(`${folder}/fault causes hang`), never);
    await writeFile(join(folder, "fault"), "");
    await errorOf(supervisor.infer(ask("crash"), never));
    await eventually(() => lines.some((line) => line.output === "hanging over 1"));
    const waiting = [1, 2].map((id) => errorOf(resources.load(id, partsOf("other"), never)));
    await supervisor.stop();
    expect((await Promise.all(waiting)).map(({ reason }) => reason)).toEqual([
      "SERVICE_NOT_READY",
      "SERVICE_NOT_READY",
    ]);
  });
});
