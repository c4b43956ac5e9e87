import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { InferenceService, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { type ModelServer, startLitserve, startTriton } from "../fixtures/remote/model-servers.ts";
import { post, startGateway, urlOf } from "../integration/cluster.ts";
import { blocksOf } from "../integration/page.ts";

/* Model servers behind a loader and a gateway, with the definitions and requests of the page. */

const page = join(import.meta.dir, "../../docs/remote-engine.md");
const slow = (url: string): string => `
id: slow
engine: { kind: remote, protocol: oip-grpc, url: "${url}", model: slow, concurrency: 2 }
`;

let folder: string;
let triton: ModelServer;
let litserve: ModelServer;
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  [triton, litserve] = await Promise.all([startTriton(), startLitserve()]);
  folder = await mkdtemp(join(tmpdir(), "athena-remote-"));
  const [shout = "", chat = ""] = await blocksOf(page, "yaml");
  const definitions = {
    shout: shout.replace("http://127.0.0.1:8000", triton.httpUrl),
    chat: chat.replace("http://127.0.0.1:8000", litserve.httpUrl),
    slow: slow(triton.grpcUrl),
  };
  for (const [id, definition] of Object.entries(definitions)) {
    await mkdir(join(folder, id));
    await writeFile(join(folder, id, "service.yaml"), definition);
  }
  const local = { host: "127.0.0.1", port: 0 };
  const services = Object.keys(definitions);
  const config = { listen: local, admin: local, services: services.map((id) => join(folder, id)) };
  loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify(config),
    env: { MODEL_API_KEY: "a key" },
  });
  await waitUntilReady(loader, services);
  gateway = await startGateway(services.map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway?.stop();
  await loader?.stop();
  await Promise.all([triton?.stop(), litserve?.stop()]);
  await rm(folder, { recursive: true, force: true });
});

async function idleSlots(service: string): Promise<number> {
  const text = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
  return Number(new RegExp(`^athena_loader_slots_idle\\{service="${service}"\\} (\\d+)$`, "m").exec(text)?.[1]);
}

async function eventually(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await Bun.sleep(20);
  }
  return false;
}

describe("the page's", () => {
  for (const [index, what] of ["inference server", "chat"].entries()) {
    test(`${what} answers its request as it says`, async () => {
      const request = (await blocksOf(page, "sh"))[index] ?? "";
      const [, path = ""] = /http:\/\/127\.0\.0\.1:30889(\/\S+)/.exec(request) ?? [];
      const [, body = ""] = /-d '([^']+)'/.exec(request) ?? [];
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${urlOf(gateway)}${path}`, { method: "POST", headers, body });
      const answer = (await response.text()).replace(/"sid":"[^"]+"/, '"sid":"..."');
      expect(answer).toBe((await blocksOf(page, "json"))[index]?.trim() ?? "");
    });
  }
});

test("a chat comes through the loader word by word, and ends with its reason", async () => {
  const client = createClient(InferenceService, createConnectTransport({ baseUrl: urlOf(loader), httpVersion: "2" }));
  const parts = [{ name: "prompt", type: PartType.TEXT, data: new TextEncoder().encode("eins zwei drei") }];
  const seen: string[] = [];
  let last: Record<string, string> | undefined;
  for await (const { response } of client.inferServerStream({ request: { service: "chat", parts } })) {
    const [part] = response?.parts ?? [];
    seen.push(`${Status[response?.status ?? 0]} ${new TextDecoder().decode(part?.data)}`);
    last = part?.attributes;
  }
  expect(seen).toEqual(["BEGIN eins ", "CONTINUE zwei ", "CONTINUE drei ", "END "]);
  expect(last).toMatchObject({ finish_reason: "stop", status: "2" });
});

describe("a tensor service", () => {
  const secondsOf = (seconds: number) => {
    const other = Buffer.from(new Float32Array([seconds]).buffer).toString("base64");
    return { header: { app_id: "1" }, payload: { seconds: { other } } };
  };

  test("needs no inputs and outputs in its service.yaml", async () => {
    const { status, body } = await post(`${urlOf(gateway)}/slow`, secondsOf(0));
    expect([status, body.header.message]).toEqual([200, "success"]);
    expect(body.payload?.waited).toMatchObject({ datatype: "FP32", shape: "[1]", other: "AAAAAA==" });
  });

  test("stops its model when the gateway's caller hangs up, and has its slot back", async () => {
    const hangUp = new AbortController();
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(secondsOf(60)), signal: hangUp.signal };
    const call = fetch(`${urlOf(gateway)}/slow`, init).catch(() => "hung up");
    expect(await eventually(async () => (await idleSlots("slow")) === 1)).toBe(true);
    hangUp.abort();
    expect(await call).toBe("hung up");
    await triton.printed("slow: cancelled ase");
    expect(await eventually(async () => (await idleSlots("slow")) === 2)).toBe(true);
  });

  test("whose server ends answers 500 to the call inside it and 503 to the next, and is not ready", async () => {
    const inside = post(`${urlOf(gateway)}/slow`, secondsOf(60));
    expect(await eventually(async () => (await idleSlots("slow")) === 1)).toBe(true);
    await post(`${urlOf(gateway)}/slow`, secondsOf(0));
    await triton.stop();
    expect((await inside).body.header.code).toBe(10109);
    const next = await post(`${urlOf(gateway)}/slow`, secondsOf(0));
    expect([next.status, next.headers.get("retry-after") === null]).toEqual([503, false]);
    const readyz = async () => (await (await fetch(`${addressOf(loader, "admin")}/readyz`)).text()) as string;
    expect(await eventually(async () => (await readyz()).includes("cannot be reached"))).toBe(true);
  });
});
