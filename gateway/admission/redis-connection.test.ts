import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connectRedis, createScript, type RedisConnection } from "./redis-connection.ts";
import { startTestRedis, type TestRedis, withRedis } from "./test-redis.ts";

let redis: TestRedis;
const open: RedisConnection[] = [];
let changes: boolean[] = [];
let changed = Promise.withResolvers<void>();

beforeEach(async () => {
  redis = await startTestRedis();
  changes = [];
  changed = Promise.withResolvers();
});

afterEach(async () => {
  for (const connection of open.splice(0)) connection[Symbol.dispose]();
  await redis[Symbol.asyncDispose]();
});

async function connect(timeoutMs = 300, url = redis.url): Promise<RedisConnection> {
  const connection = connectRedis({
    url,
    timeoutMs,
    retryMs: 20,
    probeKey: "probe",
    onChange(isUp) {
      changes.push(isUp);
      changed.resolve();
      changed = Promise.withResolvers();
    },
  });
  open.push(connection);
  await connection.attempted;
  return connection;
}

/** Waits until the connection is up, or down. */
async function becomes(connection: RedisConnection, isUp: boolean): Promise<void> {
  while (connection.isUp !== isUp) await changed.promise;
}

const add = createScript("return redis.call('INCRBY', KEYS[1], ARGV[1])");

describe("a connection to Redis", () => {
  test("runs scripts, also after Redis has forgotten them", async () => {
    const connection = await connect();
    expect(await connection.run(add, ["n"], ["3"])).toBe(3);
    await withRedis(redis.url, (client) => client.send("SCRIPT", ["FLUSH"]));
    expect(await connection.run(add, ["n"], ["4"])).toBe(7);
  });

  test("tells a mistake of a command and stays", async () => {
    const connection = await connect();
    await connection.send("SET", ["text", "x"]);
    await expect(connection.run(add, ["text"], ["1"])).rejects.toThrow("not an integer");
    expect(connection.isUp).toBe(true);
    expect(changes).toEqual([true]);
  });

  test("fails at once what is under way when the server dies, and what comes while it is away", async () => {
    const connection = await connect(5000);
    const waiting = connection.send("BLPOP", ["nothing", "0"]);
    const outcome = waiting.then(
      () => "answered",
      () => "failed",
    );
    await redis.kill();
    expect(await outcome).toBe("failed");
    await becomes(connection, false);
    await expect(connection.run(add, ["n"], ["1"])).rejects.toThrow("no connection");
  });

  test("is there again when the server is, and says so once", async () => {
    const connection = await connect();
    await redis.kill();
    await becomes(connection, false);
    await redis.restart();
    await becomes(connection, true);
    expect(await connection.run(add, ["n"], ["1"])).toBe(1);
    expect(changes).toEqual([true, false, true]);
  });

  test("gives up a server that hangs after the timeout, and takes it back when it goes on", async () => {
    const connection = await connect(100);
    redis.hang();
    await expect(connection.run(add, ["n"], ["1"])).rejects.toThrow("did not answer within 100 ms");
    expect(connection.isUp).toBe(false);
    await expect(connection.run(add, ["n"], ["1"])).rejects.toThrow("no connection");
    redis.resume();
    await becomes(connection, true);
    expect(changes).toEqual([true, false, true]);
  });

  test("that cannot be made is tried again, and its first attempt ends", async () => {
    await redis.kill();
    const connection = await connect();
    expect(connection.isUp).toBe(false);
    await redis.restart();
    await becomes(connection, true);
    expect(changes).toEqual([false, true]);
  });

  test("is made over TCP and with a password, and counts as none without", async () => {
    const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = free;
    free.stop(true);
    await withRedis(redis.url, async (client) => {
      await client.send("CONFIG", ["SET", "port", String(port)]);
      await client.send("CONFIG", ["SET", "requirepass", "a-secret"]);
    });
    expect((await connect(300, `redis://:a-secret@127.0.0.1:${port}`)).isUp).toBe(true);
    expect((await connect(300, `redis://127.0.0.1:${port}`)).isUp).toBe(false);
    expect((await connect(300, `redis://:wrong@127.0.0.1:${port}`)).isUp).toBe(false);
  });

  test("to a server that takes no writes counts as none until it does", async () => {
    const set = (value: string) =>
      withRedis(redis.url, (client) => client.send("CONFIG", ["SET", "min-replicas-to-write", value]));
    await set("1");
    const connection = await connect();
    expect(connection.isUp).toBe(false);
    await set("0");
    await becomes(connection, true);
    expect(changes).toEqual([false, true]);
  });

  test("makes no further attempt once it is disposed of", async () => {
    const connection = await connect();
    connection[Symbol.dispose]();
    expect(connection.isUp).toBe(false);
    await redis.kill();
    await redis.restart();
    await expect(connection.run(add, ["n"], ["1"])).rejects.toThrow("no connection");
    expect(changes).toEqual([true]);
  });
});
