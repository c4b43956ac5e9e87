import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { createLogger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { EngineHealth } from "../engine.ts";
import { createSupervisor, type Supervisor, type SupervisorOptions } from "./supervisor.ts";

/** False for a process that is gone, or dead and not yet collected by its parent. */
function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The state follows the name, which may hold anything but ends with the last parenthesis.
    return !"ZX".includes(stat.charAt(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

const running: Supervisor[] = [];
const never = new AbortController().signal;

afterEach(async () => {
  await Promise.all(running.splice(0).map((supervisor) => supervisor.stop()));
});

function build(changes: Partial<SupervisorOptions> = {}) {
  const lines: Record<string, unknown>[] = [];
  const healths: EngineHealth[] = [];
  const progress: string[] = [];
  const supervisor = createSupervisor({
    service: "fixture",
    command: [process.execPath, join(import.meta.dir, "fixture-worker.ts")],
    env: childEnvironment(),
    config: {},
    workers: 1,
    startTimeoutMs: 20_000,
    stopGraceMs: 1000,
    cancelGraceMs: 200,
    maxFrameBytes: 64_000_000,
    logger: createLogger("test", { write: (line: string) => void lines.push(JSON.parse(line)) }),
    now: () => performance.now(),
    random: () => 0,
    onHealth: (health) => healths.push(health),
    onProgress: (text) => progress.push(text),
    ...changes,
  });
  running.push(supervisor);
  return { supervisor, lines, healths, progress };
}

function requestOf(data: Uint8Array, parameters: Record<string, string> = {}): InferRequest {
  return {
    $typeName: "athena.v1.InferRequest",
    service: "fixture",
    version: "",
    sid: "s",
    headers: {},
    parameters,
    expects: [],
    parts: [{ $typeName: "athena.v1.Part", name: "data", type: PartType.OTHER, attributes: {}, data }],
    resourceIds: [],
    priority: 0,
  };
}

const ask = (what: string) => requestOf(new Uint8Array([1]), { do: what });

async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "answered";
  } catch (error) {
    return ServingError.from(error).reason;
  }
}

/** Asks again until the condition holds, for at most ten seconds. */
async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("the condition never held");
    await Bun.sleep(10);
  }
}

async function answers(supervisor: Supervisor): Promise<boolean> {
  return (await reasonOf(supervisor.infer(ask("echo"), never))) === "answered";
}

/** Waits until a worker says that it loops; gives its process id. */
async function untilLooping(lines: readonly Record<string, unknown>[]): Promise<number> {
  const said = (): string | undefined => /looping (\d+)/.exec(lines.map((line) => line.output).join("\n"))?.[1];
  await eventually(() => said() !== undefined);
  return Number(said());
}

async function numberFrom(supervisor: Supervisor, what: string): Promise<number> {
  const { parts } = await supervisor.infer(ask(what), never);
  return Number(new TextDecoder().decode(parts[0]?.data));
}

/** Where the tests of this file make their sockets: beside them, others do the same. */
const folder = mkdtempSync(join(tmpdir(), "supervisor-test-"));
const outerFolder = process.env.TMPDIR;
beforeAll(() => {
  process.env.TMPDIR = folder;
});
afterAll(() => {
  if (outerFolder === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = outerFolder;
  rmSync(folder, { recursive: true });
});

describe("a supervised worker", () => {
  test("answers 1,000 calls, 32 at once, each with its own payload", async () => {
    const { supervisor, progress } = build({ workers: 2 });
    await supervisor.start(never);
    expect(progress).toEqual(["first step", "first step"]);
    let next = 0;
    const caller = async (): Promise<void> => {
      while (next < 1000) {
        const id = next++;
        const data = new Uint8Array(Uint32Array.of(id).buffer);
        const { parts } = await supervisor.infer(requestOf(data), never);
        expect(parts[0]?.data).toEqual(data);
      }
    };
    await Promise.all(Array.from({ length: 32 }, caller));
  });

  test("carries a part of 5 MB there and back", async () => {
    const { supervisor } = build();
    await supervisor.start(never);
    const data = new Uint8Array(5_000_000).map((_, i) => i % 251);
    const { parts } = await supervisor.infer(requestOf(data), never);
    expect(Bun.hash(parts[0]?.data ?? "")).toBe(Bun.hash(data));
  });

  test("keeps the user's error text and the reason of a refusal, and goes on", async () => {
    const { supervisor } = build();
    await supervisor.start(never);
    await expect(supervisor.infer(ask("throw"), never)).rejects.toThrow("the user's code failed");
    expect(await reasonOf(supervisor.infer(ask("throw"), never))).toBe("ENGINE_FAILED");
    expect(await reasonOf(supervisor.infer(ask("refuse"), never))).toBe("INVALID_INPUT");
    expect(await answers(supervisor)).toBe(true);
  });

  for (const how of ["crash", "exit"]) {
    test(`fails only the calls inside it when it ends by ${how}, and answers again`, async () => {
      const { supervisor, healths } = build({ workers: 2 });
      await supervisor.start(never);
      const doomed = reasonOf(supervisor.infer(ask(how), never));
      expect(await answers(supervisor)).toBe(true);
      expect(await doomed).toBe("ENGINE_CRASHED");
      await eventually(() => answers(supervisor));
      expect(healths.every(({ ready }) => ready)).toBe(true);
    });
  }

  test("is not ready while the only one restarts", async () => {
    const { supervisor, healths } = build();
    await supervisor.start(never);
    expect(await reasonOf(supervisor.infer(ask("crash"), never))).toBe("ENGINE_CRASHED");
    expect(await reasonOf(supervisor.infer(ask("echo"), never))).toBe("SERVICE_NOT_READY");
    await eventually(() => answers(supervisor));
    expect(healths.map(({ ready }) => ready)).toEqual([true, false, true]);
  });

  test("is killed when it loops past the call's end, and the caller does not wait for that", async () => {
    const { supervisor, lines } = build();
    await supervisor.start(never);
    const caller = new AbortController();
    const looping = reasonOf(supervisor.infer(ask("loop"), caller.signal));
    const pid = await untilLooping(lines);
    caller.abort(new ServingError("DEADLINE_EXCEEDED", "too late"));
    expect(await looping).toBe("DEADLINE_EXCEEDED");
    await eventually(() => !isRunning(pid));
    await eventually(() => answers(supervisor));
  });

  test("may print gigabytes: lines are dropped and counted, and the call is answered", async () => {
    const { supervisor, lines } = build();
    await supervisor.start(never);
    expect(await reasonOf(supervisor.infer(ask("print"), never))).toBe("answered");
    await supervisor.stop();
    await eventually(() => lines.some((line) => Number(line.dropped) > 10_000));
    expect(lines.filter((line) => line.msg === "output").length).toBeLessThan(2000);
  });

  test("that throws in its start is not ready, with its own words", async () => {
    const { supervisor } = build({ config: { init: "throw" } });
    await expect(supervisor.start(never)).rejects.toThrow("the model is broken");
  });

  test("that ends or hangs in its start is not ready, in bounded time", async () => {
    const ending = build({ config: { init: "exit" } }).supervisor;
    await expect(ending.start(never)).rejects.toThrow("exit code 3");
    const hanging = build({ config: { init: "hang" }, startTimeoutMs: 500 }).supervisor;
    await expect(hanging.start(never)).rejects.toThrow("not ready within 500 ms");
  });

  test("that loops does not take the calls behind it along: they were not begun, and may go elsewhere", async () => {
    const { supervisor, lines } = build({ callsPerWorker: 1 });
    await supervisor.start(never);
    const caller = new AbortController();
    const looping = reasonOf(supervisor.infer(ask("loop"), caller.signal));
    await untilLooping(lines);
    caller.abort(new ServingError("DEADLINE_EXCEEDED", "too late"));
    const behind = reasonOf(supervisor.infer(ask("echo"), never));
    expect(await looping).toBe("DEADLINE_EXCEEDED");
    expect(await behind).toBe("SERVICE_NOT_READY");
    await eventually(() => answers(supervisor));
  });

  test("is not broken by a request or an answer that is larger than a frame", async () => {
    const { supervisor } = build({ callsPerWorker: 1 });
    await supervisor.start(never);
    const pid = await numberFrom(supervisor, "pid");
    expect(await reasonOf(supervisor.infer(requestOf(new Uint8Array(64_000_000)), never))).toBe("PAYLOAD_TOO_LARGE");
    await expect(supervisor.infer(ask("grow"), never)).rejects.toThrow("the engine's answer is larger than 64000000");
    expect(await numberFrom(supervisor, "pid")).toBe(pid);
  });

  test("that is silent without a call is killed and replaced", async () => {
    const { supervisor } = build({ probeIntervalMs: 50 });
    await supervisor.start(never);
    const pid = await numberFrom(supervisor, "pid");
    process.kill(pid, "SIGSTOP");
    await eventually(() => !isRunning(pid));
    await eventually(() => answers(supervisor));
    expect(await numberFrom(supervisor, "pid")).not.toBe(pid);
  });

  test("in a crash loop is started five times and then left, and health says why", async () => {
    const { supervisor, healths, progress } = build({ config: { init: "exit soon" } });
    await supervisor.start(never);
    await eventually(() =>
      healths.some((health) => !health.ready && health.reason.includes("5 times within a minute")),
    );
    expect(progress.length).toBe(5);
    expect(await reasonOf(supervisor.infer(ask("echo"), never))).toBe("SERVICE_NOT_READY");
  });

  test("leaves no process and no folder behind when it is stopped, hung or not, nor what it started itself", async () => {
    const { supervisor, lines } = build({ workers: 2 });
    await supervisor.start(never);
    const grandchild = await numberFrom(supervisor, "spawn");
    const looping = reasonOf(supervisor.infer(ask("loop"), never));
    const pids = [grandchild, await numberFrom(supervisor, "pid"), await untilLooping(lines)];
    expect(pids.map(isRunning)).toEqual([true, true, true]);
    await supervisor.stop();
    expect(await looping).toBe("ENGINE_CRASHED");
    await eventually(() => !pids.some(isRunning));
    expect(await readdir(folder)).toEqual([]);
  });

  test("does not outlive a loader that is killed, even in a loop, and leaves no folder behind", async () => {
    const loader = Bun.spawn([process.execPath, join(import.meta.dir, "fixture-loader.ts")], {
      env: childEnvironment(),
      stdout: "pipe",
    });
    let said = "";
    for await (const chunk of loader.stdout) {
      said += new TextDecoder().decode(chunk);
      if (/looping \d+/.test(said)) break;
    }
    const pid = Number(/looping (\d+)/.exec(said)?.[1]);
    expect(isRunning(pid)).toBe(true);
    loader.kill("SIGKILL");
    await loader.exited;
    await eventually(() => !isRunning(pid));
    expect(await readdir(folder)).toEqual([]);
  });
});
