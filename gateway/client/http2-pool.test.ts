import { afterEach, expect, test } from "bun:test";
import { aliveHeader } from "../../proto/metadata.ts";
import { NotConnectedError } from "./http-connection.ts";
import { createHttp2Pool, type Http2Pool } from "./http2-pool.ts";

const opened: Disposable[] = [];

afterEach(() => {
  for (const one of opened.splice(0)) one[Symbol.dispose]();
});

/** A server that counts its connections, and whose streams stay open. */
function serve() {
  const connections = new Set<number>();
  const alive = Promise.withResolvers<Request>();
  const http2: object = { http2: true };
  const server = Bun.serve({
    ...http2,
    hostname: "127.0.0.1",
    port: 0,
    fetch(request, self) {
      connections.add(self.requestIP(request)?.port ?? 0);
      if (request.method === "HEAD") alive.resolve(request);
      const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(1)) });
      return new Response(body);
    },
  });
  opened.push({ [Symbol.dispose]: () => void server.stop(true) });
  return { url: `http://127.0.0.1:${server.port}`, connections, alive: alive.promise };
}

function poolOf(options: Partial<Parameters<typeof createHttp2Pool>[0]> = {}): Http2Pool {
  const pool = createHttp2Pool({ idleTimeoutMs: 30_000, ...options });
  opened.push(pool);
  return pool;
}

async function openOne(pool: Http2Pool, url: string, signal = new AbortController().signal) {
  const stream = await pool.open({ url, path: "/", headers: {}, signal });
  stream.on("error", () => {});
  await new Promise((resolve) => stream.once("response", resolve));
  return stream;
}

test("streams share a connection, a hundred on each, and a place on one is taken again when it is free", async () => {
  const { url, connections } = serve();
  const pool = poolOf();
  const streams = await Promise.all(Array.from({ length: 100 }, () => openOne(pool, url)));
  expect(connections.size).toBe(1);
  await openOne(pool, url);
  expect(connections.size).toBe(2);
  const [first] = streams;
  const closed = new Promise((resolve) => first?.once("close", resolve));
  first?.destroy();
  await closed;
  await openOne(pool, url);
  expect(connections.size).toBe(2);
});

test("a connection that does not come about, or too late, is no connection, and its caller may leave before", async () => {
  const pool = poolOf({ connectTimeoutMs: 50 });
  await expect(openOne(pool, "http://127.0.0.1:1")).rejects.toBeInstanceOf(NotConnectedError);
  await expect(openOne(pool, "unix:/nowhere/nobody.sock")).rejects.toBeInstanceOf(NotConnectedError);
  const { url } = serve();
  await expect(openOne(pool, url, AbortSignal.abort())).rejects.toBeInstanceOf(NotConnectedError);
});

test("disposing of a pool breaks off its connections, with the streams on them", async () => {
  const { url } = serve();
  const pool = poolOf();
  const stream = await openOne(pool, url);
  const closed = new Promise((resolve) => stream.once("close", resolve));
  pool[Symbol.dispose]();
  await closed;
});

test("a connection with streams gives the sign of life that its streams promise, and a stream that says nothing stays", async () => {
  const { url, connections, alive } = serve();
  const stream = await openOne(poolOf({ pingIntervalMs: 20 }), url);
  expect((await alive).headers.get(aliveHeader)).toBe("20");
  expect([stream.closed, connections.size]).toEqual([false, 1]);
});
