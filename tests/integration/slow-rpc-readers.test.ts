import { afterAll, expect, test } from "bun:test";
import { connect, constants } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { addressOf, type LogLine } from "../../cli/service-process.ts";
import {
  InferRequestSchema,
  type InferStreamRequest,
  InferStreamRequestSchema,
  StreamInputSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { ModelInferRequestSchema } from "../../proto/gen/inference/grpc_service_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";

const lines: LogLine[] = [];
const cluster = await startCluster(["echo"], { sessions: { slowReaderTimeoutMs: 500 } }, (line) => {
  if (line.name === "access" && line.msg === "session") lines.push(line);
});

afterAll(async () => {
  await cluster.stop();
});

function enveloped(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(5 + data.length);
  new DataView(bytes.buffer).setUint32(1, data.length);
  bytes.set(data, 5);
  return bytes;
}

const part = (length: number) => ({ name: "data", type: PartType.TEXT, data: new Uint8Array(length).fill(97) });
const messageOf = (message: InferStreamRequest["message"]) =>
  enveloped(toBinary(InferStreamRequestSchema, create(InferStreamRequestSchema, { message })));

async function activeSessions(): Promise<number> {
  const text = await (await fetch(`${addressOf(cluster.gateway, "admin")}/metrics`)).text();
  return Number(/^athena_gateway_sessions\{service="echo"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

test("a gRPC client that reads nothing of its results is left in time: its session ends once, and its stream", async () => {
  // Its windows are smaller than the result, and stay shut.
  const session = connect(addressOf(cluster.gateway, "grpc"));
  const stream = session.request({
    ":method": "POST",
    ":path": "/athena.v1.InferenceService/InferStream",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const closed = new Promise<number | undefined>((resolve) => stream.on("close", () => resolve(stream.rstCode)));
  stream.on("error", () => {});
  stream.pause();
  const open = { service: "echo", headers: { app_id: "1" }, parts: [part(8_000_000)] };
  stream.write(messageOf({ case: "open", value: create(InferRequestSchema, open) }));
  // The first result comes when it is known not to be the last.
  stream.write(messageOf({ case: "input", value: create(StreamInputSchema, { parts: [part(1)] }) }));
  // The test's own limit ends it otherwise.
  while (lines.length === 0) await Bun.sleep(20);
  expect(await activeSessions()).toBe(0);
  expect(await closed).toBe(constants.NGHTTP2_CANCEL);
  session.destroy();
  expect(lines).toMatchObject([
    { protocol: "grpc", outcome: "CANCELED", reason: "the client does not read its results" },
  ]);
});

test("a client of ModelStreamInfer that reads nothing loses its stream, and every request on it ends once", async () => {
  lines.length = 0;
  const session = connect(addressOf(cluster.gateway, "grpc"));
  const stream = session.request({
    ":method": "POST",
    ":path": "/inference.GRPCInferenceService/ModelStreamInfer",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const closed = new Promise<number | undefined>((resolve) => stream.on("close", () => resolve(stream.rstCode)));
  stream.on("error", () => {});
  stream.pause();
  for (const id of ["1", "2", "3"]) {
    const contents = { bytesContents: [new Uint8Array(4_000_000).fill(97)] };
    const inputs = [{ name: "data", datatype: "BYTES", shape: [1n], contents }];
    const request = create(ModelInferRequestSchema, { modelName: "echo", id, inputs });
    stream.write(enveloped(toBinary(ModelInferRequestSchema, request)));
  }
  expect(await closed).toBe(constants.NGHTTP2_CANCEL);
  while (lines.length < 3) await Bun.sleep(20);
  expect(await activeSessions()).toBe(0);
  session.destroy();
  expect(lines.map(({ protocol }) => protocol)).toEqual(Array(3).fill("oip-grpc"));
});
