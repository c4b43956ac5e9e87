import { afterEach, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import type { ServingError } from "../../../proto/errors.ts";
import { createHttpClient, type HttpRequest } from "./http-client.ts";
import { httpAnswer, never, startWireServer, type WireRequest, type WireServer } from "./test-server.ts";

let server: WireServer | undefined;

afterEach(() => server?.stop());

async function clientOf(answer: (request: WireRequest, socket: Socket) => unknown, maxResponseBytes = 1000) {
  server = await startWireServer(answer);
  const http = createHttpClient({
    service: "served",
    url: `${server.url}/below/`,
    headers: { "x-api-key": "secret" },
    maxResponseBytes,
  });
  const ask = (request: Partial<HttpRequest> = {}) => http({ method: "GET", path: "/path", signal: never, ...request });
  const text = async (request: Partial<HttpRequest> = {}) =>
    new TextDecoder().decode(await (await ask(request)).bytes());
  const errorOf = (request: Partial<HttpRequest> = {}): Promise<ServingError> =>
    text(request).then(
      (body) => Promise.reject(new Error(`answered ${body}`)),
      (error) => error,
    );
  return { server, ask, text, errorOf };
}

describe("a request", () => {
  test("goes below the server's URL with the configured headers, each on a connection of its own", async () => {
    const { server, text } = await clientOf((_, socket) => socket.write(httpAnswer(200, "fine")));
    expect(await text()).toBe("fine");
    expect(await text({ method: "POST", body: "a body", headers: { "content-type": "text/plain" } })).toBe("fine");
    await server.untilClosed(2);
    expect(server.requests).toMatchObject([
      { method: "GET", path: "/below/path", headers: { "x-api-key": "secret", connection: "close" } },
      { method: "POST", path: "/below/path", headers: { "content-type": "text/plain" }, body: "a body" },
    ]);
    expect(server.requests[0]?.headers["accept-encoding"]).toBe("identity");
  });

  test("that nobody waits for closes its connection at once, before the answer and within it", async () => {
    const { server, ask, errorOf } = await clientOf((_, socket) => {
      if (server.requests.length === 2) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
      if (server.requests.length === 1) caller.abort("nobody waits");
    });
    let caller = new AbortController();
    expect((await errorOf({ signal: caller.signal })).cause).toBe("nobody waits");
    await server.untilClosed(1);
    caller = new AbortController();
    const chunks = (await ask({ signal: caller.signal })).chunks();
    expect((await chunks.next()).value).toHaveLength(3);
    caller.abort("nobody reads");
    await expect(chunks.next()).rejects.toMatchObject({ cause: "nobody reads" });
    await server.untilClosed(2);
  });

  test("whose answer is left early closes its connection", async () => {
    const { server, ask } = await clientOf((_, socket) =>
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
    );
    for await (const _ of (await ask()).chunks()) break;
    await server.untilClosed(1);
  });
});

describe("an answer", () => {
  for (const [status, reason] of [
    [400, "INVALID_INPUT"],
    [401, "SERVICE_NOT_READY"],
    [403, "SERVICE_NOT_READY"],
    [404, "SERVICE_NOT_READY"],
    [408, "DEADLINE_EXCEEDED"],
    [413, "PAYLOAD_TOO_LARGE"],
    [415, "INVALID_INPUT"],
    [418, "ENGINE_FAILED"],
    [422, "INVALID_INPUT"],
    [429, "SERVICE_BUSY"],
    [500, "ENGINE_FAILED"],
    [501, "UNSUPPORTED_OPERATION"],
    [502, "ENGINE_CRASHED"],
    [503, "SERVICE_BUSY"],
    [504, "DEADLINE_EXCEEDED"],
  ] as const) {
    test(`with status ${status} is ${reason}, in the server's words`, async () => {
      const { errorOf } = await clientOf((_, socket) => socket.end(httpAnswer(status, `{"error":"so it is"}`)));
      const error = await errorOf();
      expect(error.reason).toBe(reason);
      expect(error.message).toContain("service 'served'");
      expect(error.message).toEndWith(": so it is");
    });
  }

  for (const [body, words] of [
    [`{"error":{"message":"an object's words","code":1}}`, "an object's words"],
    [`{"object":"error","message":"as vLLM says it"}`, "as vLLM says it"],
    [`{"detail":[{"loc":["body"],"msg":"missing"}]}`, `[{"loc":["body"],"msg":"missing"}]`],
    ["plain\r\n\twords\u0000", "plain words"],
    [`{"error":"${"x".repeat(9000)}"}`, `${"x".repeat(500)}...`],
  ] as const) {
    test(`of an error says '${words.slice(0, 40)}' from ${JSON.stringify(body.slice(0, 40))}`, async () => {
      const { errorOf } = await clientOf((_, socket) => socket.end(httpAnswer(400, body)));
      expect((await errorOf()).message).toBe(`the model server of service 'served' refuses the input: ${words}`);
    });
  }

  test("of an error that is a page, or nothing, or breaks off, says only what it means", async () => {
    const head = "HTTP/1.1 500 Error\r\ncontent-length: 10000\r\n\r\n";
    for (const bytes of [httpAnswer(500, "<html>nginx</html>"), httpAnswer(500, ""), head]) {
      const { errorOf } = await clientOf((_, socket) => socket.end(bytes));
      expect((await errorOf()).message).toBe("the model server of service 'served' failed");
      server?.stop();
    }
  });

  test("with Retry-After tells when to try again", async () => {
    const { errorOf } = await clientOf((_, socket) => socket.end(httpAnswer(429, "", { "retry-after": "7" })));
    expect(await errorOf()).toMatchObject({ reason: "SERVICE_BUSY", retryAfterMs: 7000 });
  });

  test("that redirects is not followed", async () => {
    const { server, errorOf } = await clientOf((_, socket) =>
      socket.end(httpAnswer(307, "", { location: `${server.url}/elsewhere` })),
    );
    expect(await errorOf()).toMatchObject({ reason: "OUTPUT_UNEXPECTED" });
    expect(server.requests).toHaveLength(1);
  });

  test("that is too large ends where it is, whether it says so or not", async () => {
    const large = "x".repeat(1001);
    const { server, errorOf } = await clientOf((_, socket) =>
      socket.write(
        server.requests.length === 1
          ? httpAnswer(200, large)
          : `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n${large}\r\n3e9\r\n`,
      ),
    );
    for (let i = 0; i < 2; i += 1) {
      expect(await errorOf()).toMatchObject({ reason: "OUTPUT_UNEXPECTED" });
      await server.untilClosed(i + 1);
    }
  });

  test("is not unpacked: a small one may be large inside", async () => {
    const { text } = await clientOf((_, socket) => socket.end(httpAnswer(200, "abc", { "content-encoding": "gzip" })));
    expect(await text()).toBe("abc");
  });
});

describe("a connection", () => {
  test("that is refused did not carry the request", async () => {
    const { server, errorOf } = await clientOf(() => {});
    server.stop();
    expect(await errorOf()).toMatchObject({
      reason: "SERVICE_NOT_READY",
      message: "the model server of service 'served' cannot be reached",
    });
  });

  test("to a name that does not resolve did not either", async () => {
    const http = createHttpClient({ service: "s", url: "http://model.invalid", headers: {}, maxResponseBytes: 9 });
    await expect(http({ method: "GET", path: "/", signal: never })).rejects.toMatchObject({
      reason: "SERVICE_NOT_READY",
    });
  });

  for (const [what, bytes] of [
    ["before its answer", ""],
    ["in the headers of its answer", "HTTP/1.1 200 O"],
    ["in a body of known length", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"],
    ["in a chunked body", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"],
    ["with what is no HTTP", "SSH-2.0-x\r\n"],
  ] as const) {
    test(`that breaks ${what} may have run the request, and nobody is told to send it again`, async () => {
      const { errorOf } = await clientOf((_, socket) => socket.end(bytes));
      const error = await errorOf();
      expect([error.reason, error.class.retry]).toEqual(["ENGINE_CRASHED", "never"]);
    });
  }
});
