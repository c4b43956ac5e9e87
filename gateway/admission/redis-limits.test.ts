import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { describeLimitStore, shareOf } from "./limit-store.cases.ts";
import { isRefusal } from "./limit-store.ts";
import { connectRedis, type RedisConnection } from "./redis-connection.ts";
import { createRedisLimits, type RedisLimits } from "./redis-limits.ts";
import { startTestRedis, type TestRedis, withRedis } from "./test-redis.ts";

let redis: TestRedis;

beforeAll(async () => {
  redis = await startTestRedis();
});

afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

/** Two gateways are two stores on two connections. */
async function connect(owner: string, now: () => number) {
  const connection: RedisConnection = connectRedis({
    url: redis.url,
    timeoutMs: 5000,
    retryMs: 50,
    probeKey: "probe",
    onChange() {},
  });
  await connection.attempted;
  const limits = createRedisLimits({ connection, prefix: "t:", leaseMs: 30_000, owner, now, serverNow: now });
  return { connection, limits };
}

async function disconnect({ connection, limits }: { connection: RedisConnection; limits: RedisLimits }): Promise<void> {
  limits[Symbol.dispose]();
  connection[Symbol.dispose]();
}

describeLimitStore("the store in Redis", async () => {
  await withRedis(redis.url, (client) => client.send("FLUSHALL", []));
  let now = 1_750_000_000_000;
  const connected = await connect("one", () => now);
  return {
    store: connected.limits,
    advance: (ms) => {
      now += ms;
    },
    [Symbol.asyncDispose]: () => disconnect(connected),
  };
});

describe("two gateways on one Redis", () => {
  let now = 1_750_000_000_000;
  const running: Awaited<ReturnType<typeof connect>>[] = [];
  const start = async (owner: string) => {
    const connected = await connect(owner, () => now);
    running.push(connected);
    return connected;
  };
  afterEach(async () => {
    for (const connected of running.splice(0)) await disconnect(connected);
    await withRedis(redis.url, (client) => client.send("FLUSHALL", []));
  });

  test("share the calls that an app may have open", async () => {
    const one = await start("one");
    const two = await start("two");
    const share = shareOf({ maxOpen: 2 });
    const first = await one.limits.take(share);
    await two.limits.take(share);
    expect(isRefusal(await one.limits.take(share))).toBe(true);
    expect(isRefusal(await two.limits.take(share))).toBe(true);
    if (!isRefusal(first)) first[Symbol.dispose]();
    // Commands of one connection are carried out in their order.
    expect(isRefusal(await one.limits.take(share))).toBe(false);
  });

  test("leave the calls of one that died to end by themselves, and keep those that are renewed", async () => {
    const one = await start("one");
    const two = await start("two");
    const share = shareOf({ maxOpen: 2 });
    await one.limits.take(share);
    await two.limits.take(share);
    one.limits[Symbol.dispose]();
    one.connection[Symbol.dispose]();
    now += 20_000;
    await two.limits.renew();
    expect(await two.limits.take(share)).toMatchObject({ limit: "calls" });
    now += 10_001;
    expect(isRefusal(await two.limits.take(share))).toBe(false);
    expect(await two.limits.take(share)).toMatchObject({ limit: "calls" });
  });

  test("tell Redis of their open calls again when it has forgotten them", async () => {
    const one = await start("one");
    const share = shareOf({ maxOpen: 1 });
    await one.limits.take(share);
    await withRedis(redis.url, (client) => client.send("FLUSHALL", []));
    now += 15_000;
    await one.limits.renew();
    expect(await one.limits.take(share)).toMatchObject({ limit: "calls" });
  });

  test("do not renew a call that is over", async () => {
    const one = await start("one");
    const share = shareOf({ maxOpen: 1 });
    const held = await one.limits.take(share);
    if (!isRefusal(held)) held[Symbol.dispose]();
    now += 15_000;
    await one.limits.renew();
    expect(isRefusal(await one.limits.take(share))).toBe(false);
  });

  test("know each other's used signatures", async () => {
    const one = await start("one");
    const two = await start("two");
    expect(await one.limits.firstUse("k", "s", 60_000)).toBeUndefined();
    expect(await two.limits.firstUse("k", "s", 60_000)).toBeCloseTo(0, 1);
  });

  test("leave no key in Redis that does not end", async () => {
    const one = await start("one");
    const rate = { intervalMs: 100, toleranceMs: 1000 };
    await one.limits.take(shareOf({ requests: rate, bytes: rate, byteCount: 10, maxOpen: 1 }));
    await one.limits.firstUse("k", "s", 60_000);
    await withRedis(redis.url, async (client) => {
      const keys = await client.keys("t:*");
      expect(keys).toHaveLength(4);
      for (const key of keys) expect(await client.pttl(key)).toBeGreaterThan(0);
    });
  });
});

describe("a store on Redis's own clock", () => {
  test("lets a burst in and no more", async () => {
    const connection = connectRedis({ url: redis.url, timeoutMs: 5000, retryMs: 50, probeKey: "probe", onChange() {} });
    await connection.attempted;
    const now = () => performance.now();
    using limits = createRedisLimits({ connection, prefix: "clock:", leaseMs: 30_000, owner: "one", now });
    const share = shareOf({ requests: { intervalMs: 3_600_000, toleranceMs: 3 * 3_600_000 } });
    const verdicts = await Promise.all(Array.from({ length: 10 }, () => limits.take(share)));
    expect(verdicts.filter((verdict) => !isRefusal(verdict))).toHaveLength(3);
    connection[Symbol.dispose]();
  });
});
