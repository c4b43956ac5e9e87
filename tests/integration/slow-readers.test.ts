import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { connect } from "node:http2";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { addressOf, type LogLine, type ServiceProcess } from "../../cli/service-process.ts";
import { InferServerStreamRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { sessionWrapper } from "../fixtures/session-wrapper.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { eventually, frameOf, startLoaderOf, type TestLoader } from "./websocket-client.ts";

/** Gives as many results as its first chunk says, each of so many bytes, as fast as they are taken. */
const wrapper = sessionWrapper('int(words[0]), lambda n: b"a" * int(words[1]), 0');
const manifest = `
id: pieces
engine: { kind: python, threads: 2 }
inputs: { text: { type: text } }
outputs: { result: { type: text } }
once: false
stream: true
`;

const slowReaderTimeoutMs = 1000;
/** 200 MiB, of which no client reads anything. */
const results = 3200;
const words = `${results} 65536`;
/** Far more than connections and their windows hold, and far less than the results. */
const maxGrowthMiB = 80;

const slow = `
id: slow
engine: { kind: echo }
inputs: { data: { type: text } }
outputs: { data: { type: text } }
parameters: { delayMs: { type: integer } }
once: true
stream: false
`;

let loader: TestLoader;
let gateway: ServiceProcess;
const lines: LogLine[] = [];

beforeAll(async () => {
  const addWrapper = async (folder: string) => void (await Bun.write(join(folder, "pieces/wrapper.py"), wrapper));
  loader = await startLoaderOf({ pieces: manifest, slow }, addWrapper);
  const services = ["pieces", "slow"].map((id) => ({ id, endpoints: [urlOf(loader.loader)] }));
  gateway = await startGateway(services, { sessions: { slowReaderTimeoutMs } }, (line) => {
    if (line.name === "access") lines.push(line);
  });
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

function enveloped(data: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

const part = { name: "text", type: PartType.TEXT, data: Buffer.from(words) };
const request = { service: "pieces", headers: { app_id: "1" }, parts: [part] };
const message = enveloped(
  toBinary(InferServerStreamRequestSchema, create(InferServerStreamRequestSchema, { request })),
);
const json = Buffer.from(JSON.stringify(frameOf(words, 3, {}, "text")));

interface Question {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const rpc = (headers: Question["headers"]): Question => {
  return { path: "/athena.v1.InferenceService/InferServerStream", headers, body: message };
};
const unified = (accept: string): Question => {
  return { path: "/v1/private/pieces", headers: { "content-type": "application/json", accept }, body: json };
};
const questions = {
  connect: rpc({ "content-type": "application/connect+proto", "connect-protocol-version": "1" }),
  "grpc-web": rpc({ "content-type": "application/grpc-web+proto" }),
  grpc: rpc({ "content-type": "application/grpc+proto", te: "trailers" }),
  sse: unified("text/event-stream"),
  jsonl: unified("application/x-ndjson"),
};
type Protocol = keyof typeof questions;

/** A client that has asked, and reads nothing. */
interface Reader {
  /** Reads what the connection holds; how its stream ends, and how many bytes it had. */
  rest(): Promise<{ readonly end: string; readonly bytes: number }>;
  leave(): void;
}

/** HTTP/1.1 without an HTTP client: nothing takes bytes from the socket. */
function askTcp({ path, headers, body }: Question, url: URL): Reader {
  const socket = connectTcp(Number(url.port), url.hostname);
  const closed = Promise.withResolvers<string>();
  socket.on("error", () => {});
  socket.on("close", () => closed.resolve("closed"));
  socket.pause();
  const all = { host: url.host, "content-length": String(body.length), ...headers };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST ${path} HTTP/1.1\r\n${head.join("")}\r\n`);
  socket.write(body);
  return {
    async rest() {
      let bytes = 0;
      socket.on("data", (chunk) => {
        bytes += chunk.length;
      });
      socket.resume();
      return { end: await closed.promise, bytes };
    },
    leave: () => void socket.destroy(),
  };
}

/** HTTP/2 whose windows stay as small as they are. */
function askHttp2({ path, headers, body }: Question, url: URL, session = connect(url.href)): Reader {
  session.on("error", () => {});
  const stream = session.request({ ":method": "POST", ":path": path, ...headers });
  const closed = new Promise<string>((resolve) => stream.on("close", () => resolve(`reset with ${stream.rstCode}`)));
  stream.on("error", () => {});
  stream.pause();
  stream.end(body);
  return {
    async rest() {
      const end = await closed;
      session.destroy();
      return { end, bytes: 0 };
    },
    leave: () => void session.destroy(),
  };
}

function ask(protocol: Protocol, version: "HTTP/1.1" | "HTTP/2"): Reader {
  const url = new URL(addressOf(gateway, protocol === "grpc" ? "grpc" : "public"));
  return (version === "HTTP/1.1" ? askTcp : askHttp2)(questions[protocol], url);
}

async function residentMiB(): Promise<number> {
  const status = await readFile(`/proc/${gateway.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

async function activeSessions(): Promise<number> {
  const text = await (await fetch(`${addressOf(gateway, "admin")}/metrics`)).text();
  return Number(/^athena_gateway_sessions\{service="pieces"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}

const sessionLines = (): readonly LogLine[] => lines.filter(({ msg }) => msg === "session");

const cases: readonly (readonly [Protocol, "HTTP/1.1" | "HTTP/2"])[] = [
  ["connect", "HTTP/1.1"],
  ["connect", "HTTP/2"],
  ["grpc-web", "HTTP/1.1"],
  ["grpc-web", "HTTP/2"],
  ["grpc", "HTTP/2"],
  ["sse", "HTTP/1.1"],
  ["sse", "HTTP/2"],
  ["jsonl", "HTTP/1.1"],
  ["jsonl", "HTTP/2"],
];

describe.each(cases)("a client that reads nothing of a long stream, %s over %s,", (protocol, version) => {
  test("is left in time: its session ends once and its stream is cut, and the gateway holds little of it", async () => {
    lines.length = 0;
    const before = await residentMiB();
    const reader = ask(protocol, version);
    let peak = before;
    // The test's own limit ends it otherwise.
    while (sessionLines().length === 0) {
      await Bun.sleep(20);
      peak = Math.max(peak, await residentMiB());
    }
    expect(peak - before).toBeLessThan(maxGrowthMiB);
    const { end, bytes } = await reader.rest();
    expect(end).toBe(version === "HTTP/1.1" ? "closed" : "reset with 8");
    expect(bytes).toBeLessThan(maxGrowthMiB * 1_048_576);
    expect(await activeSessions()).toBe(0);
    expect(sessionLines()).toMatchObject([
      { protocol, outcome: "CANCELED", reason: "the client does not read its results" },
    ]);
    expect(Number(sessionLines()[0]?.framesOut)).toBeLessThan(results / 2);
  });

  test("may leave, which ends its session once", async () => {
    lines.length = 0;
    const reader = ask(protocol, version);
    expect(await eventually(async () => (await activeSessions()) === 1)).toBe(true);
    reader.leave();
    expect(await eventually(() => sessionLines().length > 0)).toBe(true);
    expect(await activeSessions()).toBe(0);
    expect(sessionLines()).toMatchObject([
      { protocol, outcome: "CANCELED", reason: expect.stringContaining("hung up") },
    ]);
  });
});

test("another call on the connection of a stream that nobody reads gets its answer", async () => {
  lines.length = 0;
  const url = new URL(urlOf(gateway));
  const session = connect(url.href);
  const reader = askHttp2(questions.sse, url, session);
  // Longer than the connection outlasts the stream when nothing else is under way on it.
  const delayed = { ...frameOf("x", 3), parameter: { slow: { delayMs: 7000 } } };
  const call = session.request({
    ":method": "POST",
    ":path": "/v1/private/slow",
    "content-type": "application/json",
  });
  call.end(JSON.stringify(delayed));
  const head = await new Promise<{ readonly ":status"?: number }>((resolve, reject) => {
    call.on("response", resolve);
    call.on("error", reject);
  });
  expect(head[":status"]).toBe(200);
  expect(sessionLines()).toMatchObject([{ protocol: "sse", reason: "the client does not read its results" }]);
  call.resume();
  await reader.rest();
});
