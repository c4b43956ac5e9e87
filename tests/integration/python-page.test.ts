import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { InferenceService, InferRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { post, startGateway, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";

const page = join(import.meta.dir, "../../docs/python-wrapper.md");
const runtime = join(import.meta.dir, "../../loader/engine/python/runtime");
const local = { host: "127.0.0.1", port: 0 };

let root: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;
const folders = new Map<string, string>();

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "athena-page-"));
  for (const code of await blocksOf(page, "python")) {
    const [, id = ""] = /(?:service\(id|serviceId) ?= ?"(\w+)"/.exec(code) ?? [];
    const folder = join(root, `folder-${folders.size}`);
    await mkdir(folder);
    await writeFile(join(folder, code.includes("aiges") ? "wrapper.py" : "service.py"), code);
    folders.set(id, folder);
  }
  const ids = [...folders.keys()];
  loader = await startLoader([...folders.values()]);
  await waitUntilReady(loader, ids);
  gateway = await startGateway(ids.map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(root, { recursive: true });
});

function startLoader(services: readonly string[]): Promise<ServiceProcess> {
  return startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services }),
  });
}

function ask(id: string, input: string, text: string, member = "text") {
  const data = { [member]: Buffer.from(text).toString("base64") };
  return post(`${urlOf(gateway)}/${id}`, { header: { app_id: "7" }, payload: { [input]: data } });
}

test("each request of the page is answered as the page says", async () => {
  const answers = await blocksOf(page, "json");
  const requests = await blocksOf(page, "sh");
  expect(requests.length).toBe(answers.length);
  for (const [index, request] of requests.entries()) {
    const [, id, body = ""] = /30889\/(\w+)[\s\S]*-d '([^']+)'/.exec(request) ?? [];
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${urlOf(gateway)}/${id}`, { method: "POST", headers, body });
    const answer = (await response.text()).replace(/"sid":"[^"]+"/, '"sid":"..."');
    expect(answer).toBe((answers[index] ?? "").trim());
  }
});

test("the page's streams answer sessions", async () => {
  const client = createClient(InferenceService, createConnectTransport({ baseUrl: urlOf(loader), httpVersion: "2" }));
  async function talk(service: string, input: string, type: PartType, texts: readonly string[]) {
    async function* messages() {
      yield { message: { case: "open" as const, value: create(InferRequestSchema, { service }) } };
      for (const [index, text] of texts.entries()) {
        const status = index === texts.length - 1 ? "2" : "1";
        const parts = [{ name: input, type, attributes: { status }, data: new TextEncoder().encode(text) }];
        yield { message: { case: "input" as const, value: { sequence: index + 2, parts } } };
      }
    }
    const results: string[] = [];
    for await (const { response } of client.inferStream(messages())) {
      results.push(new TextDecoder().decode(response?.parts[0]?.data));
    }
    return results;
  }
  expect(await talk("spell", "word", PartType.TEXT, ["ab"])).toEqual(["a.", "b.", ""]);
  expect(await talk("listener", "sound", PartType.OTHER, ["ab", "cde"])).toEqual(["2 bytes", "5 bytes", ""]);
  expect((await ask("listener", "sound", "abc", "other")).body.payload?.result?.text).toEqual({ bytes: 3 });
});

test("the page's batch answers each caller, together with others when they come together", async () => {
  const texts = Array.from({ length: 60 }, (_, index) => "x".repeat(index + 1));
  const answers = await Promise.all(texts.map((text) => ask("lengths", "text", text)));
  const results = answers.map(({ body }) => body.payload?.result?.text as { length: number; computed_with: number });
  expect(results.map(({ length }) => length)).toEqual(texts.map((text) => text.length));
  const most = Math.max(...results.map((result) => result.computed_with));
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(16);
});

test("the page's errors reach the caller, and its context tells who that is", async () => {
  const failed = await ask("search", "text", "everything");
  expect([failed.status, failed.body.header.code, failed.body.header.message]).toEqual([
    500,
    10909,
    "this finds too much",
  ]);
  expect((await ask("search", "text", "x")).body.payload?.result?.text).toEqual({ app: "7", pages: 100 });
  const empty = await ask("greeter", "name", " ");
  expect([empty.status, empty.body.header.message]).toEqual([400, "payload.name: the name is empty"]);
  expect((await ask("greeting", "name", " ")).body.header.message).toBe("the name is empty");
});

test("the page's service.yaml changes how its service runs", async () => {
  const folder = folders.get("greeter") ?? "";
  await writeFile(join(folder, "service.yaml"), (await blocksOf(page, "yaml"))[0] ?? "");
  const other = await startLoader([folder]);
  await waitUntilReady(other, ["greeter"]);
  const client = createClient(InferenceService, createConnectTransport({ baseUrl: urlOf(other), httpVersion: "2" }));
  const parts = [{ name: "name", type: PartType.TEXT, data: new TextEncoder().encode("Ann") }];
  const answer = await client.infer({ service: "greeter", parts });
  expect(new TextDecoder().decode(answer.parts[0]?.data)).toBe('{"text": "good evening, Ann"}');
  await other.stop();
});

test("the page's wrapper is run by hand", () => {
  const env = { ...process.env, PYTHONPATH: runtime };
  const { stdout } = Bun.spawnSync(["python3", "wrapper.py"], { cwd: folders.get("greeting") ?? "", env });
  expect(stdout.toString()).toBe('greeting, status 3: {"text": "hello World"}\n');
});
