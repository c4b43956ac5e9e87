import { afterAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CallOptions, type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { addressOf, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { InferenceService, type InferResponse } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { CatalogService } from "../../proto/gen/athena/v1/service_pb.ts";
import { startProxy } from "../fault/proxy.ts";
import { startGateway, urlOf } from "./cluster.ts";

/* What holds for a call of every kind, in every protocol alike. */

const folder = await mkdtemp(join(tmpdir(), "athena-rpc-calls-"));
await Bun.write(
  join(folder, "service.yaml"),
  JSON.stringify({
    id: "narrow",
    version: "v1",
    engine: { kind: "echo" },
    inputs: { data: { type: "text", required: true } },
    outputs: { data: { type: "text" } },
    parameters: { delayMs: { type: "integer" } },
    once: true,
    stream: true,
    slots: { total: 1, best: 1 },
    queue: { maxLength: 4 },
    timeoutMs: 60_000,
  }),
);
const local = { host: "127.0.0.1", port: 0 };
const loader = await startServiceProcess({
  main: "loader/main.ts",
  config: JSON.stringify({ listen: local, admin: local, services: [folder] }),
});
await waitUntilReady(loader, ["narrow"]);
const gateway = await startGateway([{ id: "narrow", endpoints: [urlOf(loader)] }]);
const [url, grpcUrl] = [urlOf(gateway), addressOf(gateway, "grpc")];

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true });
});

interface Protocol {
  readonly name: string;
  /** Where it is spoken. */
  readonly address: string;
  /** A stock client that compresses what it sends, or nothing. */
  transport(baseUrl: string, isCompressed?: boolean): Transport;
  /** A deadline that the client's own timer knows nothing of: what ends the call is the gateway. */
  deadline(ms: number): HeadersInit;
}

const compression = (isCompressed: boolean) =>
  isCompressed
    ? { sendCompression: compressionGzip, acceptCompression: [compressionGzip], compressMinBytes: 0 }
    : { acceptCompression: [] };
const connectDeadline = (ms: number) => ({ "connect-timeout-ms": String(ms) });
const grpcDeadline = (ms: number) => ({ "grpc-timeout": `${ms}m` });

const protocols: readonly Protocol[] = [
  {
    name: "Connect in JSON",
    address: url,
    transport: (baseUrl, isCompressed = false) =>
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false, ...compression(isCompressed) }),
    deadline: connectDeadline,
  },
  {
    name: "Connect",
    address: url,
    transport: (baseUrl, isCompressed = false) =>
      createConnectTransport({ baseUrl, httpVersion: "2", ...compression(isCompressed) }),
    deadline: connectDeadline,
  },
  {
    name: "gRPC-Web",
    address: url,
    transport: (baseUrl, isCompressed = false) =>
      createGrpcWebTransport({ baseUrl, httpVersion: "1.1", ...compression(isCompressed) }),
    deadline: grpcDeadline,
  },
  {
    name: "gRPC",
    address: grpcUrl,
    transport: (baseUrl, isCompressed = false) => createGrpcTransport({ baseUrl, ...compression(isCompressed) }),
    deadline: grpcDeadline,
  },
];

type Inference = Client<typeof InferenceService>;
type Request = ReturnType<typeof requestOf>;
type Call = (client: Inference, request: Request, options?: CallOptions) => Promise<readonly InferResponse[]>;

const methods: Readonly<Record<string, Call>> = {
  Infer: async (client, request, options) => [await client.infer(request, options)],
  async InferServerStream(client, request, options) {
    const results = await Array.fromAsync(client.inferServerStream({ request }, options));
    return results.flatMap(({ response }) => response ?? []);
  },
  async InferStream(client, request, options) {
    async function* messages() {
      yield { message: { case: "open" as const, value: request } };
    }
    const results = await Array.fromAsync(client.inferStream(messages(), options));
    return results.flatMap(({ response }) => response ?? []);
  },
};

const requestOf = (text: string, parameters: Record<string, string> = {}, service = "narrow") => ({
  service,
  headers: { app_id: "1" },
  parameters,
  parts: [{ name: "data", type: PartType.TEXT, data: new TextEncoder().encode(text) }],
});
const slow = requestOf("x", { delayMs: "60000" });

const textOf = (responses: readonly InferResponse[]): string =>
  responses.flatMap(({ parts }) => parts.map(({ data }) => new TextDecoder().decode(data))).join("");

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => new ConnectError("answered"),
    (error) => ConnectError.from(error),
  );
}

const catalog = createClient(CatalogService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));

/** Asks until the loader has stated so many calls at work and waiting; the test's own limit ends it otherwise. */
async function untilLoaded(running: number, waiting: number): Promise<void> {
  for (;;) {
    const { load } = await catalog.describeService({ service: "narrow" });
    if (load !== undefined && load.slotsTotal - load.slotsIdle === running && load.queueLength === waiting) return;
    await Bun.sleep(20);
  }
}

/** Takes the one slot for as long as `use` takes. */
async function whileBlocked(client: Inference, use: () => Promise<void>): Promise<void> {
  const leaving = new AbortController();
  const blocker = errorOf(client.infer(slow, { signal: leaving.signal }));
  try {
    await untilLoaded(1, 0);
    await use();
  } finally {
    leaving.abort();
    await blocker;
  }
}

function expectFailure(error: ConnectError, code: Code, reason: string, legacyCode: number): void {
  expect([error.code, error.rawMessage]).toEqual([code, expect.not.stringMatching("internal|answered")]);
  expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ reason, legacyCode }]);
  expect(error.metadata.get("athena-sid")).toMatch(/^ase/);
}

const rows = protocols.flatMap((protocol) =>
  Object.entries(methods).map(([method, call]) => ({ title: `${method} over ${protocol.name}`, protocol, call })),
);

describe.each(rows)("$title", ({ protocol, call }) => {
  const client = createClient(InferenceService, protocol.transport(protocol.address));

  test("an answer has its request's id in its headers", async () => {
    let sid: string | null = "";
    const onHeader = (headers: Headers) => {
      sid = headers.get("athena-sid");
    };
    const responses = await call(client, requestOf("hello"), { onHeader });
    expect(textOf(responses)).toBe("hello");
    expect(sid).toMatch(/^ase/);
    expect(new Set(responses.map((response) => response.sid))).toEqual(new Set([sid ?? "none"]));
  });

  test("an unknown service is an error with its reason, the number of the unified protocol and an id", async () => {
    const error = await errorOf(call(client, requestOf("x", {}, "nobody")));
    expectFailure(error, Code.NotFound, "SERVICE_NOT_FOUND", 10404);
    expect(error.rawMessage).toBe("service 'nobody' not found");
  });

  test("a deadline that has passed, or as good as, is an answer that says so", async () => {
    for (const ms of [0, 1]) {
      const error = await errorOf(call(client, slow, { headers: protocol.deadline(ms) }));
      expectFailure(error, Code.DeadlineExceeded, "DEADLINE_EXCEEDED", 10102);
    }
    await untilLoaded(0, 0);
  });

  test("a deadline that passes in the queue ends the wait, and not what runs", async () => {
    await whileBlocked(client, async () => {
      const error = await errorOf(call(client, slow, { headers: protocol.deadline(300) }));
      expectFailure(error, Code.DeadlineExceeded, "DEADLINE_EXCEEDED", 10102);
      await untilLoaded(1, 0);
    });
    await untilLoaded(0, 0);
  });

  test("a caller that leaves gives up its place in the queue, and then its slot", async () => {
    const [running, waiting] = [new AbortController(), new AbortController()];
    const first = errorOf(call(client, slow, { signal: running.signal }));
    await untilLoaded(1, 0);
    const second = errorOf(call(client, slow, { signal: waiting.signal }));
    await untilLoaded(1, 1);
    waiting.abort();
    expect((await second).code).toBe(Code.Canceled);
    await untilLoaded(1, 0);
    running.abort();
    expect((await first).code).toBe(Code.Canceled);
    expect(textOf(await call(client, requestOf("next")))).toBe("next");
  });

  test("gzip makes a request and its answer small on the wire", async () => {
    const text = "0123456789".repeat(30_000);
    const bytesOf = async (isCompressed: boolean) => {
      const proxy = await startProxy(protocol.address);
      try {
        const through = createClient(InferenceService, protocol.transport(proxy.url, isCompressed));
        expect(textOf(await call(through, requestOf(text)))).toBe(text);
        return proxy.received;
      } finally {
        await proxy.stop();
      }
    };
    const [plain, gzipped] = [await bytesOf(false), await bytesOf(true)];
    expect(Math.min(plain.client, plain.server)).toBeGreaterThan(text.length);
    expect(Math.max(gzipped.client, gzipped.server)).toBeLessThan(text.length / 10);
  });
});
