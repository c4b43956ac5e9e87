import { afterAll, describe, expect, test } from "bun:test";
import { create, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { addressOf } from "../../cli/service-process.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { InferenceService, InferRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { CatalogService } from "../../proto/gen/athena/v1/service_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";

const cluster = await startCluster(["echo"], { drainTimeoutMs: 500 });
const grpcUrl = addressOf(cluster.gateway, "grpc");
const { url } = cluster;

afterAll(async () => {
  await cluster.stop();
});

const transports: readonly (readonly [string, Transport])[] = [
  ["Connect over HTTP/1.1", createConnectTransport({ baseUrl: url, httpVersion: "1.1" })],
  ["Connect over HTTP/2", createConnectTransport({ baseUrl: url, httpVersion: "2" })],
  ["gRPC-Web over HTTP/2", createGrpcWebTransport({ baseUrl: url, httpVersion: "2" })],
  ["gRPC", createGrpcTransport({ baseUrl: grpcUrl })],
];

const slow = {
  service: "echo",
  headers: { app_id: "1" },
  parameters: { delayMs: "60000" },
  parts: [{ name: "data", type: PartType.TEXT, data: new TextEncoder().encode("x") }],
};

async function busySlots(): Promise<number> {
  const { load } = await createClient(
    CatalogService,
    createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
  ).describeService({ service: "echo" });
  return (load?.slotsTotal ?? 0) - (load?.slotsIdle ?? 0);
}

/** Asks until the loader has stated this; the test's own limit ends it otherwise. */
async function untilBusy(wanted: number): Promise<void> {
  while ((await busySlots()) !== wanted) await Bun.sleep(20);
}

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => new ConnectError("answered"),
    (error) => ConnectError.from(error),
  );
}

describe.each(transports)("%s", (name, transport) => {
  const client = createClient(InferenceService, transport);

  test("a caller that leaves frees its slot: of a once-call, of a stream, of a session", async () => {
    async function* session() {
      yield { message: { case: "open" as const, value: slow } };
      // Over HTTP/1.1 a session's input has to end before its results.
      if (!name.includes("1.1")) await new Promise<never>(() => {});
    }
    const calls = [
      (signal: AbortSignal) => client.infer(slow, { signal }),
      (signal: AbortSignal) => Array.fromAsync(client.inferServerStream({ request: slow }, { signal })),
      (signal: AbortSignal) => Array.fromAsync(client.inferStream(session(), { signal })),
    ];
    for (const call of calls) {
      await untilBusy(0);
      const leaving = new AbortController();
      const error = errorOf(call(leaving.signal));
      await untilBusy(1);
      leaving.abort();
      expect((await error).code).toBe(Code.Canceled);
      await untilBusy(0);
    }
  });
});

test("the gateway itself ends a call whose deadline has passed, and says so", async () => {
  // Without a client that would know it by itself.
  const post = (method: string, type: string, body: BodyInit) =>
    fetch(`${url}/athena.v1.InferenceService/${method}`, {
      method: "POST",
      headers: { "content-type": type, "connect-protocol-version": "1", "connect-timeout-ms": "200" },
      body,
    });
  const request = toJson(InferRequestSchema, create(InferRequestSchema, slow));
  const once = await post("Infer", "application/json", JSON.stringify(request));
  expect([once.status, await once.json()]).toMatchObject([504, { code: "deadline_exceeded" }]);
  expect(once.headers.get("athena-sid")).toMatch(/^ase/);
  const enveloped = (message: object): Uint8Array<ArrayBuffer> => {
    const json = Buffer.from(JSON.stringify(message));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(json.length, 1);
    return new Uint8Array(Buffer.concat([head, json]));
  };
  for (const [method, message] of [
    ["InferServerStream", { request }],
    ["InferStream", { open: request }],
  ] as const) {
    const stream = await post(method, "application/connect+json", enveloped(message));
    const end = JSON.parse((await stream.text()).slice(5));
    expect(end).toMatchObject({ error: { code: "deadline_exceeded" } });
  }
  await untilBusy(0);
});

test("a session that outlasts the drain is told so, over Connect and gRPC alike", async () => {
  const ends = transports.slice(1).map(([, transport]) => {
    async function* session() {
      yield { message: { case: "open" as const, value: { ...slow, parameters: {} } } };
      await new Promise<never>(() => {});
    }
    return errorOf(Array.fromAsync(createClient(InferenceService, transport).inferStream(session())));
  });
  await untilBusy(ends.length);
  await cluster.gateway.stop();
  for (const error of await Promise.all(ends)) {
    expect(error.code).toBe(Code.Unavailable);
    expect(error.findDetails(ErrorDetailSchema)).toMatchObject([{ reason: "DRAINING" }]);
  }
});
