import { afterAll, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { assert, asyncProperty, constantFrom, record, uint8Array } from "fast-check";
import { addressOf } from "../../cli/service-process.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { WebSocketRequestSchema, WebSocketResponseSchema } from "../../proto/gen/athena/v1/websocket_pb.ts";
import { startCluster } from "../conformance/oip/cluster.ts";
import { post } from "./cluster.ts";

const cluster = await startCluster(["echo"]);
const { url } = cluster;

afterAll(async () => {
  await cluster.stop();
});

interface Input {
  readonly data: Uint8Array;
  readonly format: string;
}

/** An answer's parts as every protocol has them: attributes are texts, data is bytes. */
type Parts = readonly { readonly name: string; readonly attributes: object; readonly data: Uint8Array }[];
type Protocol = (input: Input) => Promise<Parts>;

const envelopeOf = ({ data, format }: Input) => ({
  header: { app_id: "1", status: 3 },
  payload: { data: { format, text: Buffer.from(data).toString("base64") } },
});
const messageOf = ({ data, format }: Input) => ({
  service: "echo",
  headers: { app_id: "1" },
  parts: [{ name: "data", type: PartType.TEXT, attributes: { format }, data }],
});
/** Without the place in the answer, which a session has and a once-call has not. */
const attributesOf = ({ seq, status, ...rest }: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, String(value)]));
const fromMessage = (parts: readonly Part[] = []): Parts =>
  parts.map(({ name, attributes, data }) => ({ name, attributes: attributesOf(attributes), data }));

function fromPayload(payload: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {}): Parts {
  return Object.entries(payload).map(([name, { text, ...rest }]) => ({
    name,
    attributes: attributesOf(rest),
    data: new Uint8Array(Buffer.from(String(text), "base64")),
  }));
}

const over = (transport: Transport): Protocol => {
  const client: Client<typeof InferenceService> = createClient(InferenceService, transport);
  return async (input) => fromMessage((await client.infer(messageOf(input))).parts);
};

/** Sends one frame and gives what the frames that come until the close are: the acknowledgement, perhaps, and the answer. */
async function framesFor(
  frame: string | Uint8Array<ArrayBuffer>,
  subprotocol?: string,
): Promise<(string | ArrayBuffer)[]> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/echo`, subprotocol);
  socket.binaryType = "arraybuffer";
  const frames: (string | ArrayBuffer)[] = [];
  socket.onopen = () => socket.send(frame);
  socket.onmessage = ({ data }) => void frames.push(data);
  await new Promise((resolve) => {
    socket.onclose = resolve;
  });
  return frames;
}

const protocols: Readonly<Record<string, Protocol>> = {
  http: async (input) => fromPayload((await post(`${url}/echo`, envelopeOf(input))).body.payload),
  connect: over(createConnectTransport({ baseUrl: url, httpVersion: "1.1" })),
  "connect json": over(createConnectTransport({ baseUrl: url, httpVersion: "2", useBinaryFormat: false })),
  "grpc-web": over(createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" })),
  grpc: over(createGrpcTransport({ baseUrl: addressOf(cluster.gateway, "grpc") })),
  websocket: async (input) =>
    fromPayload(JSON.parse(String((await framesFor(JSON.stringify(envelopeOf(input)))).at(-1))).payload),
  "websocket proto": async (input) => {
    const open = { ...messageOf(input), headers: { app_id: "1", status: "3" } };
    const request = create(WebSocketRequestSchema, { message: { case: "open", value: open }, end: true });
    const frames = await framesFor(new Uint8Array(toBinary(WebSocketRequestSchema, request)), "athena.v1.proto");
    const answers = frames.map((frame) => fromBinary(WebSocketResponseSchema, new Uint8Array(frame as ArrayBuffer)));
    return answers.flatMap(({ response }) => fromMessage(response?.parts));
  },
};

test("a service's answer is the same to the byte over every protocol", async () => {
  const inputs = record({ data: uint8Array({ minLength: 1, maxLength: 3000 }), format: constantFrom("plain", "wav") });
  const property = asyncProperty(inputs, async (input) => {
    const answers = await Promise.all(Object.values(protocols).map((ask) => ask(input)));
    const byName = Object.fromEntries(Object.keys(protocols).map((name, index) => [name, answers[index]]));
    const [first] = answers;
    expect(first?.[0]?.data).toEqual(input.data);
    expect(byName).toEqual(Object.fromEntries(Object.keys(protocols).map((name) => [name, first])));
  });
  await assert(property, { numRuns: 30 });
});
