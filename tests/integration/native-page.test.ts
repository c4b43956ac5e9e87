import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ServiceProcess, startServiceProcess } from "../../cli/service-process.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { blocksOf } from "./page.ts";

const root = join(import.meta.dir, "../..");
const page = join(root, "docs/native-wrapper.md");
const running: ServiceProcess[] = [];

afterEach(async () => {
  for (const process of running.splice(0).reverse()) await process.stop();
});

test("the page's library, built as it says, with its definition and request gives the page's answer", async () => {
  const folder = await mkdtemp(join(tmpdir(), "athena-page-"));
  const [build = "", curl = ""] = await blocksOf(page, "sh");
  await writeFile(join(folder, "wrapper.cpp"), (await blocksOf(page, "cpp"))[0] ?? "");
  await writeFile(join(folder, "service.yaml"), (await blocksOf(page, "yaml"))[0] ?? "");
  const command = build.replace("loader/engine", join(root, "loader/engine"));
  const compiled = Bun.spawnSync(["sh", "-c", command], { cwd: folder });
  expect([compiled.exitCode, compiled.stderr.toString()]).toEqual([0, ""]);

  const local = { host: "127.0.0.1", port: 0 };
  const config = JSON.stringify({ listen: local, admin: local, services: [folder] });
  const loader = await startServiceProcess({ main: "loader/main.ts", config });
  running.push(loader);
  const gateway = await startGateway([{ id: "greeter", endpoints: [urlOf(loader)] }]);
  running.push(gateway);
  const body = /-d '([^']+)'/.exec(curl)?.[1] ?? "";
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${urlOf(gateway)}/greeter`, { method: "POST", headers, body });
  const answer = (await response.text()).replace(/"sid":"[^"]+"/, '"sid":"..."');
  expect(answer).toBe(((await blocksOf(page, "json"))[0] ?? "").trim());
  await rm(folder, { recursive: true });
});
