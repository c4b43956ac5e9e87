import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServiceProcess, startServiceProcess } from "../../cli/service-process.ts";
import { startGateway, urlOf } from "./cluster.ts";

const page = join(import.meta.dir, "../../docs/python-wrapper.md");
const running: ServiceProcess[] = [];

afterEach(async () => {
  for (const process of running.splice(0).reverse()) await process.stop();
});

test("the page's wrapper, definition and request give the page's answer", async () => {
  const text = await Bun.file(page).text();
  const block = (language: string): string =>
    new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1] ?? "";
  const folder = await mkdtemp(join(tmpdir(), "athena-page-"));
  await writeFile(join(folder, "wrapper.py"), block("python"));
  await writeFile(join(folder, "service.yaml"), block("yaml"));
  const local = { host: "127.0.0.1", port: 0 };
  const config = JSON.stringify({ listen: local, admin: local, services: [folder] });
  const loader = await startServiceProcess({ main: "loader/main.ts", config });
  running.push(loader);
  const gateway = await startGateway([{ id: "greeter", endpoints: [urlOf(loader)] }]);
  running.push(gateway);
  const body = /-d '([^']+)'/.exec(block("sh"))?.[1] ?? "";
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${urlOf(gateway)}/greeter`, { method: "POST", headers, body });
  const answer = (await response.text()).replace(/"sid":"[^"]+"/, '"sid":"..."');
  expect(answer).toBe(block("json").trim());
  await rm(folder, { recursive: true });
});
