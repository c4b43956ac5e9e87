import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { addressOf, type LogLine, type ServiceProcess } from "../../cli/service-process.ts";
import { startTestRedis, type TestRedis } from "../../gateway/admission/test-redis.ts";
import { echoEnvelope, post, startGateway, startLoader, urlOf } from "./cluster.ts";

const key = `ak_00112233aabb_${randomBytes(32).toString("base64url")}`;
const hash = `00112233aabb:${createHash("sha256").update(key).digest("hex")}`;

let loader: ServiceProcess;
let redis: TestRedis;
const running: ServiceProcess[] = [];
const logged: LogLine[] = [];

beforeAll(async () => {
  loader = await startLoader(["echo"]);
});

afterAll(async () => {
  await loader.stop();
});

beforeEach(async () => {
  redis = await startTestRedis();
  logged.length = 0;
});

afterEach(async () => {
  for (const gateway of running.splice(0)) await gateway.stop();
  await redis[Symbol.asyncDispose]();
});

async function start(limits: object, whenDown = "local"): Promise<ServiceProcess> {
  const admission = {
    apps: [{ id: "123456", services: ["*"], keys: [hash], limits }],
    redis: { url: redis.url, timeoutMs: 200, leaseMs: 2000, whenDown },
  };
  const gateway = await startGateway([{ id: "echo", endpoints: [urlOf(loader)] }], { admission }, (line) => {
    if (typeof line.msg === "string" && /Redis/.test(line.msg)) logged.push(line);
  });
  running.push(gateway);
  return gateway;
}

const call = (gateway: ServiceProcess, parameters: object = {}) =>
  post(`${urlOf(gateway)}/echo`, echoEnvelope("x", "u", parameters), { "x-api-key": key });

/** The status of a call. */
const statusOf = async (gateway: ServiceProcess): Promise<number> => (await call(gateway)).status;

async function metric(gateway: ServiceProcess, name: string): Promise<number> {
  const text = await (await fetch(`${addressOf(gateway, "admin")}/metrics`)).text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)$`, "m").exec(text)?.[1]);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("it did not come about in time");
    await Bun.sleep(25);
  }
}

describe("two gateways on one Redis", () => {
  test("let an app make as many requests together as one alone", async () => {
    const gateways = await Promise.all([
      start({ requestsPerSecond: 0.01, requestBurst: 6 }),
      start({ requestsPerSecond: 0.01, requestBurst: 6 }),
    ]);
    const statuses: number[] = [];
    for (let i = 0; i < 10; i++) {
      for (const gateway of gateways) statuses.push(await statusOf(gateway));
    }
    expect(statuses.filter((status) => status === 200)).toHaveLength(6);
    expect(statuses.filter((status) => status === 429)).toHaveLength(14);
  });

  test("hold an app's place while a call outlasts the lease, and have it back when a gateway dies with the call", async () => {
    const limits = { concurrentCalls: 1 };
    const [dying, other] = await Promise.all([start(limits), start(limits)]);
    const lost = call(dying, { delayMs: 30_000 }).catch(() => "lost");
    await until(async () => (await metric(dying, "athena_gateway_app_open")) === 1);
    // Longer than the lease: renewals have kept it.
    const renewed = performance.now() + 3000;
    while (performance.now() < renewed) {
      expect(await statusOf(other)).toBe(429);
      await Bun.sleep(100);
    }
    dying.kill("SIGKILL");
    expect(await lost).toBe("lost");
    await until(async () => (await statusOf(other)) === 200);
  });
});

describe("a Redis that dies", () => {
  test("leaves the gateway with limits of its own, one line in the log, and takes over again when it is back", async () => {
    const gateway = await start({ requestsPerSecond: 0.01, requestBurst: 3 });
    expect(await metric(gateway, "athena_gateway_limit_store_up")).toBe(1);
    for (let i = 0; i < 3; i++) expect(await statusOf(gateway)).toBe(200);
    expect(await statusOf(gateway)).toBe(429);
    await redis.kill();
    await until(async () => (await metric(gateway, "athena_gateway_limit_store_up")) === 0);
    // The gateway's own count begins anew.
    for (let i = 0; i < 3; i++) expect(await statusOf(gateway)).toBe(200);
    for (let i = 0; i < 3; i++) expect(await statusOf(gateway)).toBe(429);
    await redis.restart();
    await until(async () => (await metric(gateway, "athena_gateway_limit_store_up")) === 1);
    expect(await statusOf(gateway)).toBe(200);
    const lines = logged.map((line) => line.msg).filter((line) => !/did not carry out/.test(String(line)));
    expect(lines).toEqual([
      "limits are shared through Redis",
      "Redis cannot be reached: limits are not shared",
      "limits are shared through Redis",
    ]);
  });

  test("does not keep the gateway from starting, nor hold a request up for longer than its timeout", async () => {
    await redis.kill();
    const gateway = await start({ concurrentCalls: 5 });
    expect(await statusOf(gateway)).toBe(200);
    await redis.restart();
    await until(async () => (await metric(gateway, "athena_gateway_limit_store_up")) === 1);
    redis.hang();
    const answers = await Promise.all(Array.from({ length: 3 }, () => statusOf(gateway)));
    expect(answers).toEqual([200, 200, 200]);
    expect(await metric(gateway, "athena_gateway_limit_store_failures_total")).toBeWithin(1, 4);
    redis.resume();
    await until(async () => (await metric(gateway, "athena_gateway_limit_store_up")) === 1);
  });

  test("makes the gateway refuse what is limited, where that is configured", async () => {
    const gateway = await start({ requestsPerSecond: 100 }, "refuse");
    expect(await statusOf(gateway)).toBe(200);
    await redis.kill();
    await until(async () => (await metric(gateway, "athena_gateway_limit_store_up")) === 0);
    const refused = await call(gateway);
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.body.header).toMatchObject({ code: 11502, message: "limits cannot be checked now" });
  });
});
