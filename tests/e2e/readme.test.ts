import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawSamplePicture } from "../../cli/demo/sample-picture.ts";
import type { ServiceProcess } from "../../cli/service-process.ts";
import { startGateway, startLoader, urlOf } from "../integration/cluster.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const readme = join(import.meta.dir, "../../README.md");

let loader: ServiceProcess;
let gateway: ServiceProcess;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-readme-"));
  loader = await startLoader(["mmocr"]);
  gateway = await startGateway([{ id: "mmocr", endpoints: [urlOf(loader)] }]);
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true, force: true });
});

test("the README's Python request prints the answer that stands below it", async () => {
  const text = await Bun.file(readme).text();
  const [, script = "", shown = ""] = /```python\n([\s\S]*?)```\n\n```\n([\s\S]*?)\.\.\.\n```/.exec(text) ?? [];
  expect(script).toContain("http://127.0.0.1:30889");
  await Bun.write(join(folder, "demo-output/sample.png"), await drawSamplePicture());
  await Bun.write(join(folder, "client.py"), script.replace("http://127.0.0.1:30889", urlOf(gateway)));
  const client = Bun.spawn([python, "client.py"], { cwd: folder, stdout: "pipe", stderr: "inherit" });
  const printed = await Bun.readableStreamToText(client.stdout);
  expect(shown).not.toBe("");
  expect(printed).toStartWith(shown);
});
