import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { post, startGateway, urlOf } from "./cluster.ts";

const wrapper = (answer: string, init = "return 0") => `
import os, time
from aiges.sdk import WrapperBase
from aiges.dto import Response, ResponseData

class Wrapper(WrapperBase):
    def wrapperInit(self, config):
        ${init}

    def wrapperOnceExec(self, params, reqData):
        time.sleep(0.02)
        data = ResponseData(key="result", type=0, status=3)
        data.setData(("${answer} %d" % os.getpid()).encode())
        response = Response()
        response.list = [data]
        return response
`;
const definition = `
engine: { kind: python, threads: 4 }
inputs: { text: { type: text, required: false } }
outputs: { result: { type: text } }
`;

let root: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;

const write = (service: string, file: string, text: string) => writeFile(join(root, service, file), text);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-reload-"));
  for (const id of ["first", "second"]) {
    await mkdir(join(root, id));
    await write(id, "service.yaml", `id: ${id}\n${definition}`);
    await write(id, "wrapper.py", wrapper(`${id} one`));
  }
  const local = { host: "127.0.0.1", port: 0 };
  const config = { listen: local, admin: local, services: [join(root, "first")], repository: root };
  loader = await startServiceProcess({ main: "loader/main.ts", config: JSON.stringify(config) });
  await waitUntilReady(loader, ["first"]);
  gateway = await startGateway([{ id: "first", endpoints: [urlOf(loader)] }]);
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(root, { recursive: true, force: true });
});

async function ask(): Promise<{ readonly status: number; readonly text: string }> {
  const { status, body } = await post(`${urlOf(gateway)}/v1/private/first`, {
    header: { app_id: "1" },
    payload: { text: { text: "" } },
  });
  return { status, text: Buffer.from(String(body.payload?.result?.text), "base64").toString() };
}

async function repository(path: string): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await fetch(`${addressOf(loader, "admin")}/v2/repository/${path}`, { method: "POST" });
  return { status: response.status, body: await response.json() };
}

/** Eight callers, one request after the other each, until `work` is done; gives every answer. */
async function underLoad(work: () => Promise<unknown>): Promise<readonly { status: number; text: string }[]> {
  let isOver = false;
  const answers: { status: number; text: string }[] = [];
  const callers = Array.from({ length: 8 }, async () => {
    while (!isOver) answers.push(await ask());
  });
  await work();
  isOver = true;
  await Promise.all(callers);
  return answers;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const pidIn = (text: string): number => Number(text.split(" ").at(-1));

describe("a service that is loaded anew while it is called", () => {
  test("loses no request, answers with its new code, and leaves nothing of the old behind", async () => {
    const before = await ask();
    expect(before.text).toStartWith("first one");
    await write("first", "wrapper.py", wrapper("first two"));
    const answers = await underLoad(async () => {
      expect(await repository("models/first/load")).toEqual({ status: 200, body: {} });
      // The old one's calls are over when the next answers come.
      await ask();
    });
    expect(answers.length).toBeGreaterThan(8);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect((await ask()).text).toStartWith("first two");
    while (isAlive(pidIn(before.text))) await Bun.sleep(10);
  });

  for (const [what, file, text, status, message] of [
    ["whose wrapper cannot be loaded", "wrapper.py", "import nothing_of_this_name", 503, "nothing_of_this_name"],
    [
      "whose wrapperInit fails",
      "wrapper.py",
      wrapper("x", "raise RuntimeError('no model here')"),
      503,
      "no model here",
    ],
    ["whose service.yaml has a mistake", "service.yaml", `id: first\n${definition}slot: 3`, 400, "slot: unknown key"],
    ["whose folder has another id now", "service.yaml", `id: other\n${definition}`, 404, "now defines 'other'"],
  ] as const) {
    test(`${what} says why, and the old one goes on`, async () => {
      const old = file === "wrapper.py" ? wrapper("first two") : `id: first\n${definition}`;
      await write("first", file, text);
      const answers = await underLoad(async () => {
        const failed = await repository("models/first/load");
        expect(failed.status).toBe(status);
        expect(JSON.stringify(failed.body)).toContain(message);
      });
      expect(answers.every((answer) => answer.status === 200 && answer.text.startsWith("first two"))).toBe(true);
      await write("first", file, old);
    });
  }
});

describe("the repository", () => {
  test("loads a service by the name of its folder, lists it, and takes it out again", async () => {
    expect((await repository("models/second/load")).status).toBe(200);
    expect((await repository("index")).body).toMatchObject([
      { name: "first", version: "v1", state: "READY", reason: "" },
      { name: "second", version: "v1", state: "READY", reason: "" },
    ]);
    expect((await repository("models/second/unload")).status).toBe(200);
    expect((await repository("models/second/unload")).status).toBe(404);
    expect((await repository("index")).body).toMatchObject([
      { name: "first", state: "READY" },
      { name: "second", state: "UNAVAILABLE", reason: "unloaded" },
    ]);
    const metrics = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
    expect(metrics).not.toContain('athena_loader_slots_idle{service="second"}');
  });

  test("is not for web pages of other hosts, which no preflight would keep from asking", async () => {
    const admin = addressOf(loader, "admin");
    const ask = async (path: string, origin: string) =>
      (await fetch(`${admin}/v2/repository/models/${path}`, { method: "POST", headers: { origin } })).status;
    expect(await ask("second/load", "https://evil.test")).toBe(403);
    expect(await ask("first/unload", "null")).toBe(403);
    expect((await repository("index")).body).toMatchObject([
      { name: "first", state: "READY" },
      { name: "second", state: "UNAVAILABLE", reason: "unloaded" },
    ]);
    expect(await ask("third/load", admin)).toBe(404);
  });

  test("refuses names that lead elsewhere, unknown ones, and other methods", async () => {
    for (const name of ["third", "..%2f..", "%2e%2e%2fetc", "%ff", "a%00b"]) {
      const { status } = await repository(`models/${name}/load`);
      expect([400, 404]).toContain(status);
    }
    const response = await fetch(`${addressOf(loader, "admin")}/v2/repository/index`);
    expect(response.status).toBe(405);
  });

  test("refuses a second load of the same service while the first is under way", async () => {
    await write("second", "wrapper.py", wrapper("second", "time.sleep(0.5); return 0"));
    const first = repository("models/second/load");
    const states = new Set<unknown>();
    while (!states.has("LOADING")) {
      const { body } = await repository("index");
      for (const entry of body as { name: string; state: string }[])
        if (entry.name === "second") states.add(entry.state);
    }
    expect((await repository("models/second/load")).status).toBe(429);
    expect((await repository("models/second/unload")).status).toBe(429);
    expect((await first).status).toBe(200);
    expect((await repository("models/second/unload")).status).toBe(200);
  });
});
