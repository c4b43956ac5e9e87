import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { type Answer, echoEnvelope, echoedText, post, startGateway, urlOf } from "../integration/cluster.ts";

/*
 * What user code does wrong, each time while its service is under load and another service of the same loader is called
 * 200 times a second: the other one loses nothing, and nothing is left behind.
 */

const wrappers = join(import.meta.dir, "../fixtures/wrappers");
const threads = 4;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const common = `
inputs: { text: { type: text } }
outputs: { result: { type: text } }
parameters: { fault: { type: string }, at: { type: string }, mode: { type: string } }
once: true
stream: true
timeoutMs: 1500
session: { totalTimeoutMs: 1500 }
`;

let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-fault-"));
  await mkdir(join(folder, "python"));
  await mkdir(join(folder, "native"));
  await cp(join(wrappers, "faulty.py"), join(folder, "python/wrapper.py"));
  await writeFile(
    join(folder, "python/service.yaml"),
    `id: python\nengine: { kind: python, threads: ${threads} }\n${common}`,
  );
  await writeFile(
    join(folder, "native/service.yaml"),
    `id: native\nengine: { kind: native, threads: ${threads} }\n${common}`,
  );
  const source = join(wrappers, "native.cpp");
  const library = join(folder, "native/libwrapper.so");
  const command = ["g++", "-O1", "-std=c++17", "-shared", "-fPIC", "-pthread", source, "-o", library];
  expect(Bun.spawnSync(command).stderr.toString()).toBe("");

  const local = { host: "127.0.0.1", port: 0 };
  const echo = join(import.meta.dir, "../../config/services/echo");
  const services = [join(folder, "python"), join(folder, "native"), echo];
  loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services }),
  });
  await waitUntilReady(loader, ["python", "native", "echo"]);
  gateway = await startGateway(["python", "native", "echo"].map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway.stop();
  const workers = await childrenOf(loader.pid);
  await loader.stop();
  expect(workers.filter(isAlive)).toEqual([]);
  await rm(folder, { recursive: true, force: true });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

/** Pipes, Unix sockets and files; the connections of callers come and go by themselves. */
async function openFiles(pid: number): Promise<number> {
  const tcp = await Promise.all(["tcp", "tcp6"].map((name) => readFile(`/proc/${pid}/net/${name}`, "utf8")));
  const inodes = new Set(tcp.flatMap((text) => text.split("\n").map((line) => line.trim().split(/\s+/)[9])));
  const files = await readdir(`/proc/${pid}/fd`);
  const targets = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => "")));
  return targets.filter((target) => target !== "" && !inodes.has(/^socket:\[(\d+)\]$/.exec(target)?.[1])).length;
}

async function idleSlots(service: string): Promise<number> {
  const text = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
  return Number(new RegExp(`^athena_loader_slots_idle\\{service="${service}"\\} (\\d+)$`, "m").exec(text)?.[1]);
}

async function eventually(condition: () => Promise<boolean>, withinMs = 10_000): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await pause(20);
  }
  return false;
}

function ask(service: string, parameters: object = {}): Promise<{ status: number; body: Answer }> {
  return post(`${urlOf(gateway)}/v1/private/${service}`, {
    header: { app_id: "1" },
    parameter: { [service]: parameters },
    payload: { text: { text: Buffer.from("x").toString("base64") } },
  });
}

/** One session of two chunks straight at the loader; gives its results, or its error's words. */
async function runSession(parameters: Record<string, string>): Promise<string> {
  const client = createClient(InferenceService, createConnectTransport({ baseUrl: urlOf(loader), httpVersion: "2" }));
  const part = (status: string) => [
    { name: "text", type: PartType.TEXT, attributes: { status }, data: new Uint8Array([120]) },
  ];
  async function* messages() {
    yield { message: { case: "open" as const, value: { service: "python", parameters } } };
    yield { message: { case: "input" as const, value: { parts: part("0") } } };
    yield { message: { case: "input" as const, value: { parts: part("2") } } };
  }
  let results = 0;
  try {
    for await (const _ of client.inferStream(messages())) results += 1;
    return `${results} results`;
  } catch (error) {
    return String(error);
  }
}

/** Calls echo every 5 ms until it is told to stop; gives every answer that was not the right one. */
function callSecondService() {
  const calls: Promise<string>[] = [];
  const timer = setInterval(() => {
    const text = String(calls.length);
    const call = post(`${urlOf(gateway)}/echo`, echoEnvelope(text)).then(({ status, body }) =>
      status === 200 && echoedText(body) === text ? "right" : `${text}: ${status} ${JSON.stringify(body)}`,
    );
    calls.push(call.catch(String));
  }, 5);
  return async () => {
    clearInterval(timer);
    const answers = await Promise.all(calls);
    return { count: answers.length, wrong: answers.filter((answer) => answer !== "right") };
  };
}

/** Two callers of the faulty service itself, whose requests are good. */
function callFirstService(service: string) {
  let isOver = false;
  const callers = [0, 1].map(async () => {
    const codes = new Set<number>();
    while (!isOver) {
      const { body } = await ask(service);
      codes.add(body.header.code);
      if (body.header.code !== 0) await pause(5);
    }
    return codes;
  });
  return async () => {
    isOver = true;
    return new Set((await Promise.all(callers)).flatMap((codes) => [...codes]));
  };
}

/** Success, a crash beside them, and not ready until the engine is back. */
const allowedBeside = [0, 10109, 10223, 10225, 10110, 10102];

async function underLoad(service: string, doWrong: () => Promise<unknown>, endsWorker = false): Promise<void> {
  expect(await eventually(async () => (await ask(service)).status === 200)).toBe(true);
  const before = { children: (await childrenOf(loader.pid)).length, files: await openFiles(loader.pid) };
  const stopFirst = callFirstService(service);
  const stopSecond = callSecondService();
  let codes: ReadonlySet<number>;
  let second: { readonly count: number; readonly wrong: readonly string[] };
  const workers = await childrenOf(loader.pid);
  try {
    await doWrong();
    const wrongAt = performance.now();
    expect(await eventually(async () => (await ask(service)).status === 200)).toBe(true);
    // A load takes a tenth of a second here.
    expect(performance.now() - wrongAt).toBeLessThan(2500);
    // A call that does not end is over for its caller first; then its process is given time to end it.
    if (endsWorker) expect(await eventually(async () => !workers.every(isAlive), 15_000)).toBe(true);
    await pause(200);
  } finally {
    codes = await stopFirst();
    second = await stopSecond();
  }
  expect([...codes].filter((code) => !allowedBeside.includes(code))).toEqual([]);
  expect(second.wrong).toEqual([]);
  expect(second.count).toBeGreaterThan(20);
  expect(await eventually(async () => (await idleSlots(service)) === threads)).toBe(true);
  expect(await eventually(async () => (await childrenOf(loader.pid)).length === before.children)).toBe(true);
  expect(await eventually(async () => (await openFiles(loader.pid)) === before.files)).toBe(true);
}

describe("a Python wrapper that", () => {
  for (const [fault, status, code] of [
    ["kill", 500, 10109],
    ["segfault", 500, 10109],
    ["abort", 500, 10109],
    ["quit", 500, 10109],
    ["exit", 500, 10909],
    ["raise", 500, 10909],
    ["code", 500, 10909],
    ["loop", 504, 10102],
    ["silent", 504, 10102],
  ] as const) {
    test(`does '${fault}' fails its own request, and what is in the same process, alone`, async () => {
      await underLoad(
        "python",
        async () => {
          const { status: got, body } = await ask("python", { fault });
          expect([got, body.header.code]).toEqual([status, code]);
        },
        // Python code that goes on is interrupted first, which a loop minds and a sleep does not.
        !["exit", "raise", "code", "loop"].includes(fault),
      );
    });
  }

  for (const fault of ["allocate", "print"]) {
    test(`does '${fault}' by gigabytes disturbs nobody`, async () => {
      await underLoad("python", async () => {
        const { body } = await ask("python", { fault });
        expect([0, 10102, 10109]).toContain(body.header.code);
        // What took too long ends with its process, a second later.
        if (body.header.code === 10102) await pause(1500);
      });
    });
  }

  test("is killed from outside is started again", async () => {
    await underLoad("python", async () => {
      for (const pid of await childrenOf(loader.pid)) {
        const command = await readFile(`/proc/${pid}/cmdline`, "utf8");
        if (command.includes("athena_worker.py")) process.kill(pid, "SIGKILL");
      }
    });
  });

  for (const at of ["create", "write", "read", "destroy"]) {
    for (const fault of ["raise", "abort", "loop"]) {
      test(`does '${fault}' in a session's ${at} ends that session, and the next one works`, async () => {
        await underLoad(
          "python",
          async () => {
            const result = await runSession({ fault, at });
            // A session's last result is there before it is destroyed, unless the process ends first.
            if (at !== "destroy") expect(result).toContain("Error");
          },
          fault === "abort" || (fault === "loop" && at === "destroy"),
        );
        expect(await eventually(async () => (await runSession({})) === "2 results", 15_000)).toBe(true);
      });
    }
  }
});

describe("a C++ wrapper that", () => {
  for (const [mode, status, code] of [
    ["segfault", 500, 10109],
    ["abort", 500, 10109],
    ["loop", 504, 10102],
  ] as const) {
    test(`does '${mode}' fails its own request, and what is in the same process, alone`, async () => {
      await underLoad(
        "native",
        async () => {
          const { status: got, body } = await ask("native", { mode });
          expect([got, body.header.code]).toEqual([status, code]);
        },
        true,
      );
    });
  }
});

test("after all that, the loader is as it was: ready, every slot idle", async () => {
  expect(await eventually(async () => (await fetch(`${addressOf(loader, "admin")}/readyz`)).ok)).toBe(true);
  for (const service of ["python", "native"]) expect(await idleSlots(service)).toBe(threads);
  expect(await idleSlots("echo")).toBe(256);
});
