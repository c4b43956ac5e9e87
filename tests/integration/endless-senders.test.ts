import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { connect } from "node:http2";
import { connect as connectTcp } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { addressOf, type LogLine, type ServiceProcess } from "../../cli/service-process.ts";
import {
  InferRequestSchema,
  type InferStreamRequest,
  InferStreamRequestSchema,
  StreamInputSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { eventually, startLoaderOf, type TestLoader } from "./websocket-client.ts";

const manifest = `
id: busy
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
parameters: { delayMs: { type: integer } }
once: false
stream: true
`;

/** What a client would send if nothing stopped it. */
const maxSentBytes = 2_000_000_000;
/** What connections and their windows may hold, in MiB. */
const maxGrowthMiB = 100;

let loader: TestLoader;
let gateway: ServiceProcess;
const lines: LogLine[] = [];

beforeAll(async () => {
  loader = await startLoaderOf({ busy: manifest });
  const service = { id: "busy", endpoints: [urlOf(loader.loader)], session: { idleTimeoutMs: 1000 } };
  gateway = await startGateway([service], {}, (line) => {
    if (line.msg === "session") lines.push(line);
  });
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

function messageOf(message: InferStreamRequest["message"]): Buffer {
  const bytes = toBinary(InferStreamRequestSchema, create(InferStreamRequestSchema, { message }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

const part = (length: number) => ({ name: "data", type: PartType.TEXT, data: new Uint8Array(length).fill(97) });
const opening = messageOf({
  case: "open",
  value: create(InferRequestSchema, {
    service: "busy",
    headers: { app_id: "1" },
    parameters: { delayMs: "60000" },
    parts: [part(1)],
  }),
});
const chunk = messageOf({ case: "input", value: create(StreamInputSchema, { parts: [part(65_536)] }) });
const path = "/athena.v1.InferenceService/InferStream";
const types = {
  connect: "application/connect+proto",
  "grpc-web": "application/grpc-web+proto",
  grpc: "application/grpc+proto",
};

/** Something that can be written to, and says when it is over. */
interface Upload {
  write(bytes: Buffer): boolean;
  once(event: "drain" | "close", listener: () => void): unknown;
}

/** Writes chunks for as long as the upload takes them; resolves with the bytes that were sent when it is closed. */
async function sendForEver(upload: Upload, wrap: (bytes: Buffer) => Buffer): Promise<number> {
  let sent = 0;
  let isOpen = true;
  const closed = new Promise<void>((resolve) => upload.once("close", resolve)).then(() => {
    isOpen = false;
  });
  const bytes = wrap(chunk);
  upload.write(wrap(opening));
  while (isOpen && sent < maxSentBytes) {
    sent += bytes.length;
    if (upload.write(bytes)) continue;
    const drained = new Promise<void>((resolve) => upload.once("drain", resolve));
    await Promise.race([drained, closed]);
  }
  return sent;
}

function overTcp(type: string, url: URL): Promise<number> {
  const socket = connectTcp(Number(url.port), url.hostname);
  socket.on("error", () => {});
  socket.resume();
  const headers = `host: x\r\ncontent-type: ${type}\r\nconnect-protocol-version: 1\r\ntransfer-encoding: chunked`;
  socket.write(`POST ${path} HTTP/1.1\r\n${headers}\r\n\r\n`);
  const end = Buffer.from("\r\n");
  return sendForEver(socket, (bytes) => Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, end]));
}

async function overHttp2(type: string, url: URL): Promise<number> {
  const session = connect(url.href);
  session.on("error", () => {});
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": type, te: "trailers" });
  stream.on("error", () => {});
  stream.resume();
  const sent = await sendForEver(stream, (bytes) => bytes);
  session.destroy();
  return sent;
}

async function residentMiB({ pid }: ServiceProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

test.each([
  ["connect", "HTTP/1.1", overTcp],
  ["grpc-web", "HTTP/1.1", overTcp],
  ["connect", "HTTP/2", overHttp2],
  ["grpc-web", "HTTP/2", overHttp2],
  ["grpc", "HTTP/2", overHttp2],
] as const)("what an engine does not take waits at its sender, which is left in time: %s over %s", async (...row) => {
  const [protocol, , send] = row;
  lines.length = 0;
  const processes = [gateway, loader.loader];
  const before = await Promise.all(processes.map(residentMiB));
  const sending = send(types[protocol], new URL(addressOf(gateway, protocol === "grpc" ? "grpc" : "public")));
  const peaks = [...before];
  const isOver = async (): Promise<boolean> => {
    const now = await Promise.all(processes.map(residentMiB));
    for (const [index, value] of now.entries()) peaks[index] = Math.max(peaks[index] ?? 0, value);
    return lines.length > 0;
  };
  expect(await eventually(isOver, 10_000)).toBe(true);
  expect(await sending).toBeLessThan(maxSentBytes);
  for (const [index, peak] of peaks.entries()) expect(peak - (before[index] ?? 0)).toBeLessThan(maxGrowthMiB);
  expect(lines).toMatchObject([{ protocol, outcome: "SESSION_TIMEOUT" }]);
});
