import { create, toBinary } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import { InferRequestSchema, InferResponseSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { createEndpoint } from "../pool/endpoint.ts";
import type { Endpoint } from "../types.ts";
import type { CallOptions } from "./unary.ts";

/** A request of 1 KiB for the service echo. */
export const request = create(InferRequestSchema, {
  service: "echo",
  sid: "ase0001",
  headers: { app_id: "1", uid: "ü" },
  parts: [
    {
      name: "data",
      type: PartType.IMAGE,
      attributes: { encoding: "png" },
      data: crypto.getRandomValues(new Uint8Array(1024)),
    },
  ],
});

/** An answer of the service echo, as it stands on the wire. */
export const answerBytes = toBinary(
  InferResponseSchema,
  create(InferResponseSchema, { sid: "ase0001", service: "echo" }),
);

const listening: { stop(closeConnections: true): unknown }[] = [];

/** Has a server stopped by the next {@link stopServers}. */
export function stopLater<Server extends { stop(closeConnections: true): unknown }>(server: Server): Server {
  listening.push(server);
  return server;
}

/** Stops every server of this file; for `afterEach`. */
export function stopServers(): void {
  for (const server of listening.splice(0)) server.stop(true);
}

/** A server that answers every request as told. */
export function serve(answer: (request: Request) => Response | Promise<Response>): Endpoint {
  const { port } = stopLater(Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer }));
  return createEndpoint(`http://127.0.0.1:${port}`, 1);
}

/** A server that answers every request with these bytes, and then closes, breaks or keeps its connection. */
export function serveRaw(bytes: string, then: "close" | "break" | "keep"): Endpoint {
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.write(bytes);
        socket.flush();
        if (then === "close") socket.end();
        if (then === "break") socket.terminate();
      },
    },
  });
  return createEndpoint(`http://127.0.0.1:${stopLater(server).port}`, 1);
}

/** A message as a Connect answer. */
export function proto(bytes: Uint8Array, headers: Record<string, string> = {}): Response {
  return new Response(bytes.slice(), { headers: { "content-type": "application/proto", ...headers } });
}

/** What a test's call is bounded by. */
export function callOptions(timeoutMs = 5000, signal = new AbortController().signal): CallOptions {
  return { timeoutMs, signal };
}

/** The error of a call that must fail. */
export async function errorOf(answer: Promise<unknown>): Promise<ServingError> {
  try {
    await answer;
  } catch (error) {
    if (error instanceof ServingError) return error;
    throw error;
  }
  throw new Error("the call was answered");
}
