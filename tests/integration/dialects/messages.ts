import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { InferenceService, InferRequestSchema } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { WebSocketRequestSchema, WebSocketResponseSchema } from "../../../proto/gen/athena/v1/websocket_pb.ts";
import { type AnswerPart, attributesOf, type Dialect, framesFor, type Question } from "./question.ts";

const types = { text: PartType.TEXT, image: PartType.IMAGE, other: PartType.OTHER } as const;

const messageOf = ({ service, parts, wishes }: Question) =>
  create(InferRequestSchema, {
    service,
    headers: { app_id: "1" },
    expects: Object.entries(wishes).map(([name, attributes]) => ({ name, attributes })),
    parts: parts.map(({ name, member, attributes, data }) => ({ name, type: types[member], attributes, data })),
  });

const partsFrom = (parts: readonly Part[] = []): AnswerPart[] =>
  parts.map(({ name, attributes, data }) => ({ name, attributes: attributesOf(attributes), data }));

/** The contract's three calls over one transport. */
function callsOver(transport: Transport): Readonly<Record<"once" | "server stream" | "session", Dialect>> {
  const client: Client<typeof InferenceService> = createClient(InferenceService, transport);
  return {
    once: { ask: async (question) => partsFrom((await client.infer(messageOf(question))).parts) },
    "server stream": {
      async ask(question) {
        const parts: AnswerPart[] = [];
        for await (const { response } of client.inferServerStream({ request: messageOf(question) }))
          parts.push(...partsFrom(response?.parts));
        return parts;
      },
    },
    session: {
      async ask(question) {
        async function* messages() {
          yield { message: { case: "open" as const, value: messageOf(question) } };
        }
        const parts: AnswerPart[] = [];
        for await (const { response } of client.inferStream(messages())) parts.push(...partsFrom(response?.parts));
        return parts;
      },
    },
  };
}

function frameOf(question: Question, cid = ""): Uint8Array<ArrayBuffer> {
  const message = { case: "open" as const, value: messageOf(question) };
  return new Uint8Array(toBinary(WebSocketRequestSchema, create(WebSocketRequestSchema, { message, cid, end: true })));
}

const responseOf = (frame: string | ArrayBuffer) =>
  fromBinary(WebSocketResponseSchema, new Uint8Array(frame as ArrayBuffer));

function resultsOf(frames: readonly (string | ArrayBuffer)[], cid = ""): AnswerPart[] {
  const responses = frames.map(responseOf).filter((response) => response.cid === cid);
  const failure = responses.find(({ error }) => error !== undefined);
  if (failure !== undefined) throw new Error(failure.error?.message);
  return responses.flatMap(({ response }) => partsFrom(response?.parts));
}

/** The project's own messages: over Connect, gRPC-Web and gRPC in each of their calls, and in frames of a WebSocket. */
export function createMessageDialects(base: string, grpc: string): Readonly<Record<string, Dialect>> {
  const transports: Readonly<Record<string, Transport>> = {
    connect: createConnectTransport({ baseUrl: base, httpVersion: "1.1" }),
    "connect in JSON": createConnectTransport({ baseUrl: base, httpVersion: "2", useBinaryFormat: false }),
    "grpc-web": createGrpcWebTransport({ baseUrl: base, httpVersion: "1.1" }),
    grpc: createGrpcTransport({ baseUrl: grpc }),
  };
  const calls = Object.entries(transports).flatMap(([name, transport]) =>
    Object.entries(callsOver(transport)).map(([kind, dialect]) => [`${name}, ${kind}`, dialect]),
  );
  const urlOf = ({ service }: Question) => `${base}/${service}`;
  return {
    ...Object.fromEntries(calls),
    "websocket, messages": {
      ask: async (question) => resultsOf(await framesFor(urlOf(question), [frameOf(question)], "athena.v1.proto")),
    },
    "websocket, messages of many sessions": {
      async ask(question) {
        const sent = [frameOf(question, "a"), frameOf(question, "b")];
        const isDone = (frames: readonly (string | ArrayBuffer)[]) =>
          frames.map(responseOf).filter(({ response, error }) => (response ?? error) !== undefined).length === 2;
        const frames = await framesFor(`${urlOf(question)}?stream_mode=multiplex`, sent, "athena.v1.proto", isDone);
        const [first, second] = [resultsOf(frames, "a"), resultsOf(frames, "b")];
        if (!Bun.deepEquals(first, second)) throw new Error("two sessions with one question have different answers");
        return second;
      },
    },
  };
}
