import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { addressOf, type ServiceProcess } from "../../cli/service-process.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import {
  InferenceService,
  type InferRequestSchema,
  type InferResponse,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { ResourceService } from "../../proto/gen/athena/v1/resource_pb.ts";
import { WebSocketRequestSchema, WebSocketResponseSchema } from "../../proto/gen/athena/v1/websocket_pb.ts";
import { startGateway, urlOf } from "./cluster.ts";
import { eventually, frameOf, metric, openSocket, startLoaderOf, type TestLoader, textOf } from "./websocket-client.ts";

const wrapper = join(import.meta.dir, "../fixtures/wrappers/resources.py");
const manifest = (id: string, more: string) => `
id: ${id}
engine: { kind: python, threads: 4 }
inputs: { text: { type: text } }
outputs: { result: { type: text } }
once: false
stream: true
resources: { maxCount: 5 }
${more}
`;

let loader: TestLoader;
let gateway: ServiceProcess;

beforeAll(async () => {
  loader = await startLoaderOf(
    { voices: manifest("voices", ""), single: manifest("single", "slots: { total: 1 }") },
    async (folder) => {
      for (const id of ["voices", "single"]) await cp(wrapper, join(folder, id, "wrapper.py"));
    },
  );
  gateway = await startGateway(["voices", "single"].map((id) => ({ id, endpoints: [urlOf(loader.loader)] })));
  const baseUrl = urlOf(loader.loader);
  const resources = createClient(ResourceService, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
  const data = new TextEncoder().encode("seven");
  const parts = [{ name: "words", type: PartType.TEXT, attributes: { patch_id: "p" }, data }];
  await resources.loadResource({ service: "voices", resourceId: 7, parts });
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

type Opening = MessageInitShape<typeof InferRequestSchema>;

const openingOf = (service: string, more: Opening): Opening => ({
  service,
  headers: { app_id: "1" },
  parts: [{ name: "text", type: PartType.TEXT, data: new TextEncoder().encode("x") }],
  ...more,
});
const textFrom = (response: InferResponse | undefined): string => new TextDecoder().decode(response?.parts[0]?.data);
/** What the wrapper answers without its process id, or the reason of the error. */
const withoutPid = (text: string): string => text.replace(/\|\d+$/, "");

function grpcClient(): Client<typeof InferenceService> {
  return createClient(InferenceService, createGrpcTransport({ baseUrl: addressOf(gateway, "grpc") }));
}
function connectClient(): Client<typeof InferenceService> {
  return createClient(InferenceService, createConnectTransport({ baseUrl: urlOf(gateway), httpVersion: "2" }));
}

/** A session in frames of protobuf, whose first frame was sent. */
async function openProto(request: Opening, isWhole: boolean) {
  const socket = new WebSocket(`${urlOf(gateway).replace("http", "ws")}/${request.service}`, ["athena.v1.proto"]);
  socket.binaryType = "arraybuffer";
  const texts: string[] = [];
  const opened = Promise.withResolvers<void>();
  const closed = new Promise<void>((resolve) => socket.addEventListener("close", () => resolve()));
  socket.onmessage = ({ data }) => {
    const frame = fromBinary(WebSocketResponseSchema, new Uint8Array(data));
    if (frame.opened !== undefined) opened.resolve();
    if (frame.error !== undefined) texts.push(frame.error.reason);
    if (frame.response !== undefined) texts.push(textFrom(frame.response));
  };
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  const message = create(WebSocketRequestSchema, { message: { case: "open", value: request }, end: isWhole });
  socket.send(toBinary(WebSocketRequestSchema, message));
  return { socket, texts, opened: opened.promise, closed };
}

async function firstText(results: AsyncIterable<{ readonly response?: InferResponse | undefined }>): Promise<string> {
  try {
    for await (const { response } of results) if (response?.parts.length) return textFrom(response);
    return "";
  } catch (thrown) {
    return ConnectError.from(thrown).findDetails(ErrorDetailSchema)[0]?.reason ?? String(thrown);
  }
}

async function* only<Value>(value: Value): AsyncGenerator<Value> {
  yield value;
}

const stream = (client: Client<typeof InferenceService>, request: Opening): Promise<string> =>
  firstText(client.inferStream(only({ message: { case: "open" as const, value: request } })));

/** How a session in each protocol names a resource; gives its first result. */
const protocols: Readonly<Record<string, (id: number) => Promise<string>>> = {
  async "WebSocket in JSON"(id) {
    const socket = await openSocket(`${urlOf(gateway)}/voices`);
    socket.send(frameOf("x", 2, { res_id: id }, "text"));
    await socket.closed;
    const last = socket.frames.at(-1);
    return last?.header.code === 10701 ? "RESOURCE_NOT_FOUND" : (socket.frames.map(textOf).find(Boolean) ?? "");
  },
  async "WebSocket in protobuf"(id) {
    const session = await openProto(openingOf("voices", { resourceIds: [id] }), true);
    await session.closed;
    return session.texts.find(Boolean) ?? "";
  },
  "gRPC InferStream": (id) => stream(grpcClient(), openingOf("voices", { resourceIds: [id] })),
  "Connect InferStream": (id) => stream(connectClient(), openingOf("voices", { resourceIds: [id] })),
  "gRPC InferServerStream": (id) =>
    firstText(grpcClient().inferServerStream({ request: openingOf("voices", { resourceIds: [id] }) })),
  "Connect InferServerStream": (id) =>
    firstText(connectClient().inferServerStream({ request: openingOf("voices", { resourceIds: [id] }) })),
};

describe("a session's personal resource", () => {
  for (const [name, ask] of Object.entries(protocols)) {
    test(`reaches the wrapper over ${name}, and is refused when it is not loaded`, async () => {
      expect(withoutPid(await ask(7))).toBe("seven(p)|x");
      expect(await ask(8)).toBe("RESOURCE_NOT_FOUND");
    });
  }
});

test("a session's priority says who gets the next slot, over every protocol that has one", async () => {
  const waiting = () => metric(loader.loader, /^athena_loader_queue_length\{service="single"\} (\d+)$/m);
  const holder = await openProto(openingOf("single", {}), false);
  await holder.opened;
  const order: string[] = [];
  const begin: Readonly<Record<string, () => Promise<unknown>>> = {
    "0 gRPC": () => stream(grpcClient(), openingOf("single", {})),
    "10 gRPC": () => stream(grpcClient(), openingOf("single", { priority: 10 })),
    "20 Connect": () =>
      firstText(connectClient().inferServerStream({ request: openingOf("single", { priority: 20 }) })),
    async "30 WebSocket"() {
      const session = await openProto(openingOf("single", { priority: 30 }), true);
      await session.closed;
    },
  };
  const ends: Promise<void>[] = [];
  for (const [index, [name, run]] of Object.entries(begin).entries()) {
    ends.push(run().then(() => void order.push(name)));
    expect(await eventually(async () => (await waiting()) === index + 1)).toBe(true);
  }
  holder.socket.close(1000);
  await Promise.all(ends);
  expect(order).toEqual(["30 WebSocket", "20 Connect", "10 gRPC", "0 gRPC"]);
});
