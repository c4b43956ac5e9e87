import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";

const page = join(import.meta.dir, "../../docs/personal-resources.md");
const running: ServiceProcess[] = [];

afterEach(async () => {
  for (const process of running.splice(0).reverse()) await process.stop();
});

/** Sends what a curl line of the page sends, to this base instead of the page's. */
async function send(line: string, base: string): Promise<string> {
  const [, path = ""] = /http:\/\/127\.0\.0\.1:\d+(\S+)/.exec(line) ?? [];
  const [, body = ""] = /-d '([^']+)'/.exec(line) ?? [];
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${base}${path}`, { method: "POST", headers, body });
  return (await response.text()).replace(/"sid":"[^"]+"/, '"sid":"..."');
}

test("the page's wrapper, once its resource is loaded, gives the page's answers", async () => {
  const folder = await mkdtemp(join(tmpdir(), "athena-page-"));
  await writeFile(join(folder, "wrapper.py"), (await blocksOf(page, "python"))[0] ?? "");
  await writeFile(join(folder, "service.yaml"), (await blocksOf(page, "yaml"))[0] ?? "");
  const local = { host: "127.0.0.1", port: 0 };
  const config = JSON.stringify({ listen: local, admin: local, services: [folder] });
  const loader = await startServiceProcess({ main: "loader/main.ts", config });
  running.push(loader);
  await waitUntilReady(loader, ["greeter"]);
  const gateway = await startGateway([{ id: "greeter", endpoints: [urlOf(loader)] }]);
  running.push(gateway);
  const [load = "", ask = ""] = await blocksOf(page, "sh");
  const answers = (await blocksOf(page, "json")).map((block) => block.trim());
  expect([await send(load, urlOf(loader)), await send(ask, urlOf(gateway))]).toEqual(answers);
  await rm(folder, { recursive: true });
});
