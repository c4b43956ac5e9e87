import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { startLoader, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";

const page = join(import.meta.dir, "../../docs/definitions.md");
const commands = await blocksOf(page, "sh");
const answers = await blocksOf(page, "text");
let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;
let config: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-page-"));
  loader = await startLoader(["echo", "mmocr"]);
  await waitUntilReady(loader, ["echo", "mmocr"]);
  const [yaml = ""] = await blocksOf(page, "yaml");
  const [schema = ""] = await blocksOf(page, "json");
  const local = "{ host: 127.0.0.1, port: 0 }";
  // Changes are asked for, so that the answer is the one that the page shows.
  const own = `listen: ${local}\ngrpcListen: ${local}\nadmin: ${local}\nreloadIntervalMs: 0\n`;
  config = own + yaml.replaceAll("http://127.0.0.1:5090", urlOf(loader));
  await mkdir(join(folder, "schemas"));
  await writeFile(join(folder, "schemas/schema_s0say.json"), schema);
  await writeFile(join(folder, "gateway.yaml"), config);
  const configFile = join(folder, "gateway.yaml");
  gateway = await startServiceProcess({ main: "gateway/main.ts", config: "", configFile });
  await waitUntilReady(gateway, ["echo", "mmocr"]);
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true });
});

/** Runs one of the page's commands against the gateway of this test; gives what it prints, without the sid. */
async function run(command: string): Promise<string> {
  const text = command
    .replaceAll("http://127.0.0.1:30889", urlOf(gateway))
    .replaceAll("http://127.0.0.1:30891", addressOf(gateway, "admin"));
  const output = await new Response(Bun.spawn(["sh", "-c", text.replace("curl", "curl -s")]).stdout).text();
  return output.replace(/"sid":"[^"]+"/, '"sid":"..."').trim();
}

test("the page's schema file checks and rewrites, and its category chooses", async () => {
  expect(await run(commands[0] ?? "")).toBe((answers[0] ?? "").trim());
  expect(await run(commands[1] ?? "")).toBe((answers[1] ?? "").trim());
  const refused = await run((commands[0] ?? "").replace('"say":{', '"say":{"delayMs":2000,'));
  expect(refused).toContain("'$.parameter.say.delayMs' must be <= 1000");
});

test("the page's document is one of the service", async () => {
  expect(JSON.parse(await run(commands[3] ?? ""))).toMatchObject({ openapi: "3.1.1", info: { title: "echo" } });
});

test("the page's reload tells what has changed", async () => {
  const without = config
    .replace(/ {2}- \{ id: mmocr.*\n/, "")
    .replace(/ {6}- \{ service: mmocr.*\n/, "")
    .replace("{ 10909: 503 }", "{ 10909: 502 }");
  await writeFile(join(folder, "gateway.yaml"), without);
  expect(await run(commands[2] ?? "")).toBe((answers[2] ?? "").trim());
});
