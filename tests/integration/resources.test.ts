import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { ResourceService } from "../../proto/gen/athena/v1/resource_pb.ts";
import { CatalogService } from "../../proto/gen/athena/v1/service_pb.ts";
import { echoEnvelope, post, startGateway, urlOf } from "./cluster.ts";

const wrappers = join(import.meta.dir, "../fixtures/wrappers");
const fields = `
inputs: { text: { type: text } }
outputs: { result: { type: text } }
parameters: { mode: { type: string }, path: { type: string } }
resources: { maxCount: 50, maxBytes: 10000000 }
`;

let root: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-resources-"));
  const native = join(root, "native");
  const python = join(root, "python");
  await Promise.all([mkdir(native), mkdir(python)]);
  await cp(join(wrappers, "resources.py"), join(python, "wrapper.py"));
  const pythonEngine = { kind: "python", workers: 2, threads: 4, config: { fault_file: join(root, "fault") } };
  await writeFile(join(python, "service.yaml"), `id: python\nengine: ${JSON.stringify(pythonEngine)}\n${fields}`);
  await writeFile(join(native, "service.yaml"), `id: native\nengine: { kind: native, threads: 4 }\n${fields}`);
  const library = join(native, "libwrapper.so");
  const command = ["g++", "-O1", "-std=c++17", "-shared", "-fPIC", "-pthread", join(wrappers, "native.cpp")];
  const built = Bun.spawnSync([...command, "-o", library]);
  expect(built.stderr.toString()).toBe("");
  const local = { host: "127.0.0.1", port: 0 };
  const services = [native, python, join(import.meta.dir, "../../config/services/echo")];
  const config = JSON.stringify({ listen: local, admin: local, services });
  loader = await startServiceProcess({ main: "loader/main.ts", config });
  await waitUntilReady(loader, ["native", "python", "echo"]);
  gateway = await startGateway(["native", "python", "echo"].map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(root, { recursive: true, force: true });
});

const transport = () => createConnectTransport({ baseUrl: urlOf(loader), httpVersion: "1.1" });
const client = () => createClient(ResourceService, transport());

function partsOf(text: string) {
  const data = new TextEncoder().encode(text);
  return [{ name: "words", type: PartType.TEXT, attributes: { patch_id: "p" }, data }];
}

const load = (service: string, text: string, resourceId = 0) =>
  client().loadResource({ service, resourceId, parts: partsOf(text) });

const idsOf = async (service: string) =>
  (await client().listResources({ service })).resources.map(({ resourceId }) => resourceId);

/** The code and the reason of a call that fails; "answered" for one that does not. */
async function failureOf(call: Promise<unknown>): Promise<readonly unknown[]> {
  const error = await call.then(() => undefined, ConnectError.from);
  return error === undefined ? ["answered"] : [error.code, error.findDetails(ErrorDetailSchema)[0]?.reason];
}

/** Asks a service through the gateway; the text of the answer has no process id. */
async function ask(service: string, header: object, parameters: object = {}) {
  const { status, body } = await post(`${urlOf(gateway)}/${service}`, {
    header: { app_id: "1", ...header },
    parameter: { [service]: parameters },
    payload: { text: { text: Buffer.from("x").toString("base64") } },
  });
  const text = Buffer.from(String(body.payload?.result?.text ?? ""), "base64").toString();
  const [, answer = "", pid = ""] = /^(.*)\|([^|]*)\|?$/s.exec(text) ?? [];
  return { status, code: body.header.code, message: body.header.message, answer, pid: Number(pid) };
}

for (const service of ["python", "native"]) {
  const loaded = (text: string): string => (service === "python" ? `${text}(p)|x` : `${text}(p)|x|`);

  describe(`a ${service} wrapper behind a gateway`, () => {
    test("answers with the resource that the header's res_id or patch_id names", async () => {
      await load(service, "seven", 7);
      for (const header of [{ res_id: 7 }, { res_id: "7" }, { res_id: [7] }, { patch_id: ["7"] }]) {
        const { status, answer } = await ask(service, header);
        expect([status, answer.startsWith(loaded("seven"))]).toEqual([200, true]);
      }
      expect((await ask(service, { res_id: "" })).answer).not.toContain("seven");
    });

    test("refuses one that is not loaded, and what cannot be an id, by name", async () => {
      expect(await ask(service, { res_id: 8 })).toMatchObject({
        status: 404,
        code: 10701,
        message: `service '${service}' has no personal resource 8`,
      });
      const bad = await ask(service, { res_id: "voice-3" });
      expect([bad.status, bad.code]).toEqual([400, 10163]);
      expect(bad.message).toContain("'$.header.res_id' must be the id of a personal resource");
    });

    test("is loaded, listed, replaced and unloaded through a Connect client", async () => {
      const { resourceId } = await load(service, "chosen");
      expect(resourceId).toBeGreaterThan(0);
      const { resources } = await client().listResources({ service });
      expect(resources.find((entry) => entry.resourceId === resourceId)?.bytes).toBe(6n);
      await load(service, "replaced", resourceId);
      expect((await ask(service, { res_id: resourceId })).answer).toStartWith(loaded("replaced"));
      await client().unloadResource({ service, resourceId });
      expect((await ask(service, { res_id: resourceId })).status).toBe(404);
      const gone = client().unloadResource({ service, resourceId });
      expect(await failureOf(gone)).toEqual([Code.NotFound, "RESOURCE_NOT_FOUND"]);
    });

    test("says in its own words what it does not like, and has no trace of it", async () => {
      const error = await load(service, "broken", 9).then(() => undefined, ConnectError.from);
      expect(error?.rawMessage).toBe("the voice is broken");
      expect(error?.findDetails(ErrorDetailSchema)).toMatchObject([{ reason: "ENGINE_FAILED", engineCode: 201 }]);
      expect(await idsOf(service)).toEqual([7]);
    });
  });
}

test("a service without resources says so, keeps its clients' opaque res_id, and knows no ids", async () => {
  expect(await failureOf(load("echo", "x"))).toEqual([Code.Unimplemented, "UNSUPPORTED_OPERATION"]);
  expect(await failureOf(load("nowhere", "x"))).toEqual([Code.NotFound, "SERVICE_NOT_FOUND"]);
  const envelope = echoEnvelope("x");
  const header = { app_id: "1", res_id: "voice-3", patch_id: [1] };
  expect((await post(`${urlOf(gateway)}/echo`, { ...envelope, header })).status).toBe(200);
  const parts = [{ name: "data", type: PartType.TEXT, attributes: {}, data: new Uint8Array([1]) }];
  const inference = createClient(InferenceService, transport());
  expect(await failureOf(inference.infer({ service: "echo", resourceIds: [1], parts }))).toEqual([
    Code.NotFound,
    "RESOURCE_NOT_FOUND",
  ]);
  const resourceIds = Array.from({ length: 65 }, () => 7);
  expect(await failureOf(inference.infer({ service: "echo", resourceIds, parts }))).toEqual([
    Code.InvalidArgument,
    "SCHEMA_VIOLATION",
  ]);
  const catalog = createClient(CatalogService, transport());
  const takes = ["echo", "python"].map(async (service) => (await catalog.describeService({ service })).definition);
  expect((await Promise.all(takes)).map((definition) => definition?.personalResources)).toEqual([false, true]);
});

test("the operator sees how many there are, and how large", async () => {
  const metrics = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
  expect(metrics).toContain('athena_loader_resources{service="python"} 1\n');
  expect(metrics).toContain('athena_loader_resource_bytes{service="python"} 5\n');
  expect(metrics).not.toContain('athena_loader_resources{service="echo"}');
});

test("what a wrapper counts is in the loader's metrics", async () => {
  await ask("native", {}, { mode: "meter" });
  const metrics = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
  expect(metrics).toContain('athena_loader_wrapper_meter_total{service="native",key="words"} 7\n');
});

/** Eight answers at once, from whichever process gives them. */
const askTogether = (header: object) => Promise.all(Array.from({ length: 8 }, () => ask("python", header)));

test("a process that is killed is followed by one that has every resource", async () => {
  const { resourceId } = await load("python", "eight");
  const pids = new Set<number>();
  while (pids.size < 2) {
    for (const { status, pid } of await askTogether({ res_id: 7 })) {
      // Without an answer there is no process id, and 0 would be the group of this process.
      expect([status, pid > 1]).toEqual([200, true]);
      pids.add(pid);
    }
  }
  for (const pid of pids) process.kill(pid, "SIGKILL");
  const deadline = performance.now() + 20_000;
  const later = new Set<number>();
  while (later.size < 2 && performance.now() < deadline) {
    const answers = await askTogether({ res_id: [resourceId, 7] });
    const good = answers.filter(({ status }) => status === 200);
    // The others found it not ready, or ended with their calls inside; none found it without the resource.
    const codes = answers.filter((answer) => !good.includes(answer)).map(({ code }) => code);
    expect(codes.filter((code) => ![10223, 10109, 10222, 10225].includes(code))).toEqual([]);
    expect(good.every(({ answer }) => answer === "eight(p)|x")).toBe(true);
    for (const { pid } of good) if (!pids.has(pid)) later.add(pid);
  }
  expect(later.size).toBe(2);
});

describe("a service that is loaded anew", () => {
  const reload = async (service: string) => {
    const path = `/v2/repository/models/${service}/load`;
    const response = await fetch(`${addressOf(loader, "admin")}${path}`, { method: "POST" });
    return { status: response.status, body: await response.json() };
  };

  for (const service of ["python", "native"]) {
    test(`has its resources before it takes calls, also those that are loaded meanwhile (${service})`, async () => {
      const before = await idsOf(service);
      let isOver = false;
      const callers = Array.from({ length: 4 }, async () => {
        let calls = 0;
        while (!isOver) {
          expect((await ask(service, { res_id: 7 })).status).toBe(200);
          calls += 1;
        }
        return calls;
      });
      const added: number[] = [];
      const loading = (async () => {
        while (!isOver && added.length < 30) {
          const { resourceId } = await load(service, `text ${added.length}`);
          added.push(resourceId);
          // Every other one goes again.
          if (added.length % 2 === 0) await client().unloadResource({ service, resourceId });
        }
      })();
      expect(await reload(service)).toEqual({ status: 200, body: {} });
      isOver = true;
      await loading;
      expect(Math.min(...(await Promise.all(callers)))).toBeGreaterThan(0);
      const kept = added.filter((_, index) => index % 2 === 0);
      expect(new Set(await idsOf(service))).toEqual(new Set([...before, ...kept]));
      for (const [index, id] of kept.entries()) {
        const { answer } = await ask(service, { res_id: id });
        expect(answer).toStartWith(`text ${index * 2}(p)`);
        await client().unloadResource({ service, resourceId: id });
      }
    });
  }

  test("and refuses one of them is not put to work, and the old one goes on", async () => {
    await load("python", "fragile", 11);
    await writeFile(join(root, "fault"), "");
    const { pid } = await ask("python", { res_id: 11 });
    const failed = await reload("python");
    expect(failed).toEqual({
      status: 500,
      body: { error: "personal resource 11 of service 'python': the voice is broken" },
    });
    const pids = await Promise.all(Array.from({ length: 16 }, async () => (await ask("python", { res_id: 11 })).pid));
    expect(pids).toContain(pid);
    await client().unloadResource({ service: "python", resourceId: 11 });
    expect((await reload("python")).status).toBe(200);
    expect((await ask("python", { res_id: 7 })).answer).toBe("seven(p)|x");
  });
});
