import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressOf, type LogLine, type ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, echoedText, post, startGateway, startLoader, urlOf } from "./cluster.ts";

const running: ServiceProcess[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((process) => process.stop(5000)));
});

async function startOne(onLog?: (line: LogLine) => void) {
  const loader = await startLoader(["echo"]);
  running.push(loader);
  const gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)] }], {}, onLog);
  running.push(gateway);
  return { loader, gateway, url: `${urlOf(gateway)}/echo` };
}

async function metric(process: ServiceProcess, pattern: RegExp): Promise<number> {
  const text = await (await fetch(`${addressOf(process, "admin")}/metrics`)).text();
  return Number(pattern.exec(text)?.[1]);
}

/** Asks again until the condition holds, for at most five seconds. */
async function eventually(condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + 5000;
  while (performance.now() < deadline) {
    if (await condition()) return true;
    await Bun.sleep(20);
  }
  return false;
}

const slotsIdle = /^athena_loader_slots_idle\{[^}]*\} (\d+)$/m;
const inFlight = /^athena_gateway_in_flight\{[^}]*\} (\d+)$/m;

describe("SIGTERM", () => {
  test("to the gateway lets every request in flight finish, then it exits with 0", async () => {
    const { gateway, url } = await startOne();
    const requests = Array.from({ length: 20 }, (_, i) => post(url, echoEnvelope(`${i}`, "u", { delayMs: 500 })));
    expect(await eventually(async () => (await metric(gateway, inFlight)) === 20)).toBe(true);
    gateway.kill("SIGTERM");
    const answers = await Promise.all(requests);
    expect(answers.map((answer) => echoedText(answer.body))).toEqual(answers.map((_, i) => `${i}`));
    expect(await gateway.exited).toBe(0);
  });

  test("to the loader lets every request in flight finish, then it exits with 0", async () => {
    const { loader, url } = await startOne();
    const requests = Array.from({ length: 20 }, (_, i) => post(url, echoEnvelope(`${i}`, "u", { delayMs: 500 })));
    // The loader's own count: what the gateway has sent may still be on its way.
    expect(await eventually(async () => (await metric(loader, slotsIdle)) === 236)).toBe(true);
    loader.kill("SIGTERM");
    const answers = await Promise.all(requests);
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
    expect(await loader.exited).toBe(0);
  });
});

describe("a caller that hangs up", () => {
  test("gives back the slot and the place in flight long before the answer would have come", async () => {
    const { loader, gateway, url } = await startOne();
    const hangUp = new AbortController();
    const request = fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(echoEnvelope("x", "u", { delayMs: 30_000 })),
      signal: hangUp.signal,
    });
    expect(await eventually(async () => (await metric(loader, slotsIdle)) === 255)).toBe(true);
    hangUp.abort();
    expect(await request.catch(() => "aborted")).toBe("aborted");
    expect(await eventually(async () => (await metric(gateway, inFlight)) === 0)).toBe(true);
    expect(await eventually(async () => (await metric(loader, slotsIdle)) === 256)).toBe(true);
  });
});

describe("the operator's pages", () => {
  test("count each request once and log it once, under its sid", async () => {
    const requests: LogLine[] = [];
    const { gateway, url } = await startOne((line) => {
      if (line.msg === "request") requests.push(line);
    });
    const good = await post(url, echoEnvelope("x"));
    const bad = await post(url, "{");
    const counted = (outcome: string) =>
      metric(
        gateway,
        new RegExp(`^athena_gateway_requests_total\\{service="echo",outcome="${outcome}"\\} (\\d+)$`, "m"),
      );
    expect(await counted("OK")).toBe(1);
    expect(await counted("MALFORMED_ENVELOPE")).toBe(1);
    await eventually(async () => requests.length === 2);
    expect(requests.map((line) => [line.sid, line.outcome, line.status])).toEqual([
      [good.body.header.sid, "OK", 200],
      [bad.body.header.sid, "MALFORMED_ENVELOPE", 400],
    ]);
  });

  test("say not ready when no loader can be reached, and ready again when one comes back", async () => {
    const { loader, gateway, url } = await startOne();
    const readyz = async () => (await fetch(`${addressOf(gateway, "admin")}/readyz`)).status;
    expect(await readyz()).toBe(200);
    await loader.stop();
    expect(await eventually(async () => (await readyz()) === 503)).toBe(true);
    const refused = await post(url, echoEnvelope("x"));
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).not.toBeNull();
    expect((await fetch(`${addressOf(gateway, "admin")}/healthz`)).status).toBe(200);
  });
});

test("a gateway whose log nobody reads any more ends as others do", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "athena-lifecycle-")), "gateway.json");
  const local = { host: "127.0.0.1", port: 0 };
  const services = [{ id: "echo", endpoints: ["http://127.0.0.1:1"] }];
  await writeFile(file, JSON.stringify({ listen: local, grpcListen: local, admin: local, services }));
  const child = Bun.spawn([process.execPath, "gateway/main.ts", "--config", file], {
    stdout: "pipe",
    stderr: "ignore",
  });
  let output = "";
  for await (const chunk of child.stdout) {
    output += new TextDecoder().decode(chunk);
    if (output.includes('"listener":"public"')) break;
  }
  const [, address = ""] = /"listener":"public","url":"([^"]+)"/.exec(output) ?? [];
  expect((await fetch(`${address}/nobody`, { method: "POST" })).status).toBe(404);
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});
