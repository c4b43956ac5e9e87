import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { echoEnvelope, post, startGateway, urlOf } from "./cluster.ts";

const wrapper = join(import.meta.dir, "../fixtures/wrappers/legacy.py");
const definition = `
id: legacy
engine: { kind: python, wrapper: legacy.py, threads: 2 }
inputs: { text: { type: text } }
outputs: { result: { type: text, attributes: { format: { type: string, default: json } } } }
parameters: { mode: { type: string } }
timeoutMs: 1000
`;

let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-python-"));
  await writeFile(join(folder, "service.yaml"), definition);
  await cp(wrapper, join(folder, "legacy.py"));
  const local = { host: "127.0.0.1", port: 0 };
  const services = [folder, join(import.meta.dir, "../../config/services/echo")];
  loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services }),
  });
  await waitUntilReady(loader, ["legacy", "echo"]);
  gateway = await startGateway(["legacy", "echo"].map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true, force: true });
});

function ask(text: string, mode = "upper") {
  return post(`${urlOf(gateway)}/v1/private/legacy`, {
    header: { app_id: "1" },
    parameter: { legacy: { mode } },
    payload: { text: { text: Buffer.from(text).toString("base64") } },
  });
}

async function idleSlots(): Promise<number> {
  const text = await (await fetch(`${addressOf(loader, "admin")}/metrics`)).text();
  return Number(/^athena_loader_slots_idle\{service="legacy"\} (\d+)$/m.exec(text)?.[1]);
}

async function eventually(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await Bun.sleep(20);
  }
  return false;
}

describe("a wrapper.py behind a gateway", () => {
  test("answers over HTTP, its JSON as JSON", async () => {
    const { status, body } = await ask("hello");
    expect(status).toBe(200);
    expect(body.payload?.result?.text).toMatchObject({ text: "HELLO", sid: body.header.sid });
  });

  test("answers its own error with its own words", async () => {
    const { status, body } = await ask(" ");
    expect([status, body.header.code, body.header.message]).toEqual([500, 10909, "the text is empty"]);
  });

  for (const [mode, status, code] of [
    ["raise", 500, 10909],
    ["exit", 500, 10909],
    ["abort", 500, 10109],
    ["loop", 504, 10102],
  ] as const) {
    test(`that does ${mode} loses its own request alone: another service answers all along, and so does the next one`, async () => {
      const doomed = ask("x", mode);
      let others = 0;
      let isOver = false;
      void doomed.then(() => {
        isOver = true;
      });
      do {
        const echo = await post(`${urlOf(gateway)}/echo`, echoEnvelope("x"));
        expect(echo.status).toBe(200);
        others += 1;
      } while (!isOver);
      const { status: got, body } = await doomed;
      expect([got, body.header.code]).toEqual([status, code]);
      expect(others).toBeGreaterThan(0);
      expect(await eventually(async () => (await ask("again")).status === 200)).toBe(true);
      expect(await eventually(async () => (await idleSlots()) === 2)).toBe(true);
    });
  }
});
