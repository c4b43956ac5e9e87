import { afterAll, expect, test } from "bun:test";
import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf, type LogLine, type ServiceProcess } from "../../../cli/service-process.ts";
import { InferenceService } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { ServerReflection } from "../../../proto/gen/grpc/reflection/v1/reflection_pb.ts";
import { GRPCInferenceService, ModelInferRequestSchema } from "../../../proto/gen/inference/grpc_service_pb.ts";
import { startGateway, urlOf } from "../../integration/cluster.ts";
import { eventually, startLoaderOf } from "../../integration/websocket-client.ts";

const echo = `id: single
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
parameters: { delayMs: { type: integer } }
`;
const { loader, stop } = await startLoaderOf({ single: echo });
const lines: LogLine[] = [];
const start = (options: Readonly<Record<string, unknown>>) =>
  startGateway([{ id: "single", endpoints: [urlOf(loader)] }], options, (line) => {
    if (line.name === "access") lines.push(line);
  });
const gateway = await start({ sessions: { connectionIdleTimeoutMs: 400 } });

afterAll(async () => {
  await gateway.stop();
  await stop();
});

const modelsOf = (process: ServiceProcess) =>
  createClient(GRPCInferenceService, createGrpcTransport({ baseUrl: addressOf(process, "grpc") }));

const requestOf = (delayMs: bigint) => ({
  modelName: "single",
  id: "1",
  inputs: [
    { name: "data", datatype: "BYTES", shape: [1n], contents: { bytesContents: [new TextEncoder().encode("a")] } },
  ],
  parameters: { delayMs: { parameterChoice: { case: "int64Param" as const, value: delayMs } } },
});

async function* open(...requests: readonly ReturnType<typeof requestOf>[]) {
  yield* requests;
  await new Promise(() => {});
}

test("a stream is silent for a time at most, and what is under way on it is no silence", async () => {
  const answers = modelsOf(gateway)
    .modelStreamInfer(open(requestOf(1500n)))
    [Symbol.asyncIterator]();
  const { value } = await answers.next();
  expect(value?.errorMessage).toBe("");
  const error = await answers.next().then(() => undefined, ConnectError.from);
  expect([error?.code, error?.rawMessage]).toEqual([Code.DeadlineExceeded, "the stream was silent for 400 ms"]);
});

test("a stream on which nothing is under way holds up no drain", async () => {
  const draining = await start({});
  const answers = modelsOf(draining)
    .modelStreamInfer(open(requestOf(0n)))
    [Symbol.asyncIterator]();
  await answers.next();
  const end = answers.next().then(() => undefined, ConnectError.from);
  expect(await draining.stop()).toBe(0);
  const error = await end;
  expect([error?.code, error?.rawMessage]).toEqual([Code.Unavailable, "the gateway is shutting down"]);
});

/** A client that does not keep to its deadline itself: gives the status of its stream. */
async function patientStream(process: ServiceProcess, ...requests: readonly ReturnType<typeof requestOf>[]) {
  const session = connect(addressOf(process, "grpc"));
  const stream = session.request({
    ":method": "POST",
    ":path": "/inference.GRPCInferenceService/ModelStreamInfer",
    "content-type": "application/grpc",
    "grpc-timeout": "400m",
    te: "trailers",
  });
  for (const request of requests) {
    const message = toBinary(ModelInferRequestSchema, create(ModelInferRequestSchema, request));
    const length = Buffer.alloc(5);
    length.writeUInt32BE(message.length, 1);
    stream.write(Buffer.concat([length, message]));
  }
  const status = new Promise((resolve) => {
    stream.on("response", (headers) => headers["grpc-status"] && resolve(headers["grpc-status"]));
    stream.on("trailers", (headers) => resolve(headers["grpc-status"]));
  });
  stream.resume();
  try {
    return await status;
  } finally {
    session.destroy();
  }
}

test("a client that goes on asking about the contract holds up no drain", async () => {
  const draining = await start({});
  const reflection = createClient(ServerReflection, createGrpcTransport({ baseUrl: addressOf(draining, "grpc") }));
  async function* ask() {
    yield { messageRequest: { case: "listServices" as const, value: "" } };
    await new Promise(() => {});
  }
  const answers = reflection.serverReflectionInfo(ask())[Symbol.asyncIterator]();
  await answers.next();
  const end = answers.next().then(() => undefined, ConnectError.from);
  expect(await draining.stop()).toBe(0);
  expect((await end)?.code).toBe(Code.Unavailable);
});

test("a session that is not opened holds up no drain", async () => {
  const draining = await start({});
  const transport = createGrpcTransport({ baseUrl: addressOf(draining, "grpc") });
  const client = createClient(InferenceService, transport);
  const seen = lines.length;
  async function* nothing(): AsyncGenerator<never> {
    await new Promise(() => {});
  }
  const end = Array.fromAsync(client.inferStream(nothing())).then(() => undefined, ConnectError.from);
  // One call after it on the same connection: it is there by then.
  await createClient(GRPCInferenceService, transport).serverLive({});
  expect(await draining.stop()).toBe(0);
  expect((await end)?.code).toBe(Code.Unavailable);
  const sessions = lines.slice(seen).filter(({ msg }) => msg === "session");
  expect(sessions.map(({ outcome }) => outcome)).toEqual(["DRAINING"]);
});

test("a stream ends at its deadline whatever its client does, and the call that is under way is late", async () => {
  const late = String(Code.DeadlineExceeded);
  expect(await patientStream(gateway, requestOf(30_000n))).toBe(late);
  const failed = () => lines.filter(({ msg, outcome }) => msg === "request" && outcome !== "OK");
  expect(await eventually(() => failed().length > 0)).toBe(true);
  expect(failed()).toMatchObject([{ outcome: "DEADLINE_EXCEEDED" }]);
  const patient = await start({});
  expect(await patientStream(patient)).toBe(late);
  await patient.stop();
});
