import { create } from "@bufbuild/protobuf";
import { createConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";
import {
  InferenceService,
  type InferStreamRequest,
  type InferStreamResponse,
  InferStreamResponseSchema,
  type StreamInput,
  StreamInputSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { createEndpoint } from "../pool/endpoint.ts";
import type { Endpoint } from "../types.ts";
import { stopLater } from "./test-loader.ts";

/** Answers one session. */
export type SessionHandler = (
  messages: AsyncIterable<InferStreamRequest>,
  context: HandlerContext,
) => AsyncIterable<InferStreamResponse>;

/** A stock Connect server whose sessions do as told. */
export function serveSessions(handler: SessionHandler, unix?: string): Endpoint {
  const router = createConnectRouter({ grpc: false });
  router.service(InferenceService, { inferStream: handler });
  const routes = new Map(
    router.handlers.map((route) => [route.requestPath, createFetchHandler(route, { httpVersion: "2" })]),
  );
  const answer = (request: Request): Response | Promise<Response> =>
    routes.get(new URL(request.url).pathname)?.(request) ?? new Response(null, { status: 404 });
  const http2: object = { http2: true };
  if (unix !== undefined) {
    stopLater(Bun.serve({ ...http2, unix, fetch: answer }));
    return createEndpoint(`unix:${unix}`, 1);
  }
  const { port } = stopLater(Bun.serve({ ...http2, hostname: "127.0.0.1", port: 0, fetch: answer }));
  return createEndpoint(`http://127.0.0.1:${port}`, 1);
}

/** The message that says that a session has its slot. */
export const announcement = create(InferStreamResponseSchema);

/** A result that carries some bytes. */
export function result(data: Uint8Array | string): InferStreamResponse {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return create(InferStreamResponseSchema, { response: { parts: [{ name: "data", data: bytes }] } });
}

/** A chunk that carries a text. */
export function chunk(text: string): StreamInput {
  return create(StreamInputSchema, { parts: [{ name: "data", data: new TextEncoder().encode(text) }] });
}

/** The text of a message's only part; "" where it has none. */
export function textOf(message: InferStreamRequest | InferStreamResponse): string {
  const parts =
    message.$typeName === "athena.v1.InferStreamResponse" ? message.response?.parts : message.message.value?.parts;
  return new TextDecoder().decode(parts?.[0]?.data);
}

/** Input that nobody gives. */
export function silence(): AsyncGenerator<never> {
  return (async function* () {
    await new Promise(() => {});
  })();
}
