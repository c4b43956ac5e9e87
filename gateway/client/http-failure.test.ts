import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { Reason } from "../../proto/errors.ts";
import { InferRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { createEndpoint } from "../pool/endpoint.ts";
import type { Endpoint } from "../types.ts";
import { createLoaderClient } from "./loader-client.ts";
import { callOptions, errorOf, proto, request, serve, serveRaw, stopLater, stopServers } from "./test-loader.ts";

const folder = mkdtempSync(join(tmpdir(), "fetch-failure-"));
const client = createLoaderClient();

afterEach(stopServers);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a broken connection", () => {
  const head = "HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\n";
  const cases: { name: string; reason: Reason; endpoint: () => Endpoint }[] = [
    {
      name: "a closed port",
      reason: "ENDPOINT_UNREACHABLE",
      endpoint: () => {
        const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
        server.stop(true);
        return createEndpoint(`http://127.0.0.1:${server.port}`, 1);
      },
    },
    {
      name: "a name that does not resolve",
      reason: "ENDPOINT_UNREACHABLE",
      endpoint: () => createEndpoint("http://loader.invalid:5090", 1),
    },
    {
      name: "a Unix socket that does not exist",
      reason: "ENDPOINT_UNREACHABLE",
      endpoint: () => createEndpoint(`unix:${join(folder, "none.sock")}`, 1),
    },
    {
      name: "a Unix socket that nobody listens on",
      reason: "ENDPOINT_UNREACHABLE",
      endpoint: () => {
        writeFileSync(join(folder, "stale.sock"), "");
        return createEndpoint(`unix:${join(folder, "stale.sock")}`, 1);
      },
    },
    { name: "a close without an answer", reason: "ENDPOINT_LOST", endpoint: () => serveRaw("", "close") },
    { name: "a reset without an answer", reason: "ENDPOINT_LOST", endpoint: () => serveRaw("", "break") },
    { name: "a close in the headers", reason: "ENDPOINT_LOST", endpoint: () => serveRaw("HTTP/1.1 200 O", "close") },
    {
      name: "a close in a body of known length",
      reason: "ENDPOINT_LOST",
      endpoint: () => serveRaw(`${head}content-length: 10\r\n\r\nabc`, "close"),
    },
    {
      name: "a reset in a body of known length",
      reason: "ENDPOINT_LOST",
      endpoint: () => serveRaw(`${head}content-length: 10\r\n\r\nabc`, "break"),
    },
    {
      name: "a close in a chunked body",
      reason: "ENDPOINT_LOST",
      endpoint: () => serveRaw(`${head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n`, "close"),
    },
    {
      // Every prefix of a message that ends between two fields is a message.
      name: "a body that the close alone ends",
      reason: "ENDPOINT_LOST",
      endpoint: () => serveRaw(`${head}\r\n\n\u0001a`, "close"),
    },
    {
      name: "an answer that is not HTTP",
      reason: "ENDPOINT_LOST",
      endpoint: () => serveRaw("SSH-2.0-OpenSSH_9.9 Debian-5\r\n\r\n", "keep"),
    },
    {
      name: "an answer of something else",
      reason: "ENDPOINT_LOST",
      endpoint: () => serve(() => new Response("<html>", { status: 502, headers: { "content-type": "text/html" } })),
    },
    {
      name: "an answer that is no message",
      reason: "INTERNAL",
      endpoint: () => serve(() => proto(new Uint8Array([0x0a, 0xff]))),
    },
  ];

  for (const { name, reason, endpoint } of cases) {
    test(`${name} is ${reason}, and the message tells callers nothing of the peer`, async () => {
      const target = endpoint();
      const error = await errorOf(client.infer(target, request, callOptions()));
      expect(error.reason).toBe(reason);
      expect(error.message).toContain("'echo'");
      expect(error.message).not.toContain(target.url);
      expect(error.message).not.toMatch(/127\.0\.0\.1|\.sock|ECONN/);
    });
  }
});

describe("a request on a connection that the loader closes as it comes", () => {
  test("is sent once, and lost", async () => {
    const sids: string[] = [];
    let requests = 0;
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, bytes) {
          requests += 1;
          sids.push(/ase\d{4}/.exec(bytes.toString("latin1"))?.[0] ?? "none");
          if (requests % 2 === 0) socket.end();
          else socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n`);
        },
      },
    });
    stopLater(server);
    const endpoint = createEndpoint(`http://127.0.0.1:${server.port}`, 1);
    const small = (sid: string) => create(InferRequestSchema, { service: "echo", sid });
    for (let i = 0; i < 10; i += 1) {
      await client.infer(endpoint, small(`ase1${String(i).padStart(3, "0")}`), callOptions());
      const lost = client.infer(endpoint, small(`ase2${String(i).padStart(3, "0")}`), callOptions());
      expect((await errorOf(lost)).reason).toBe("ENDPOINT_LOST");
    }
    expect(sids).toHaveLength(20);
    expect(new Set(sids).size).toBe(20);
  });
});
