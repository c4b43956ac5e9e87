import { type DescMessage, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import { loadHeader, parseLoad } from "../../proto/metadata.ts";
import type { Endpoint } from "../types.ts";
import { BodyTooLargeError, readBody } from "./bounded-body.ts";
import { type CallSignal, createCallSignal } from "./call-signal.ts";
import { errorFromConnect } from "./connect-error.ts";
import { errorFromFetchFailure, lostError } from "./fetch-failure.ts";

/** What bounds one call. */
export interface CallOptions {
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** How long the call may take; the loader is told. */
  readonly timeoutMs: number;
}

/** The part of `fetch` that calls need. */
export type Fetch = (url: string, init: BunFetchRequestInit) => Promise<Response>;

/** Calls one method of one endpoint. Throws ServingError, and nothing else; messages name `service`. */
export type UnaryCaller = <Input extends DescMessage, Output extends DescMessage>(
  endpoint: Endpoint,
  method: DescMethodUnary<Input, Output>,
  request: MessageShape<Input>,
  service: string,
  options: CallOptions,
) => Promise<MessageShape<Output>>;

/** How long Bun's fetch lets a call be silent. */
const bunTimeoutMs = 290_000;

/** An error's body is short text; more than this is not one of a loader's. */
const maxErrorBytes = 65_536;

/**
 * Builds a caller of the Connect protocol's unary methods, in protobuf over HTTP/1.1. Every answer's load, an error's
 * too, goes into its endpoint. An answer of more than `maxResponseBytes` is not read.
 */
export function createUnaryCaller(fetch: Fetch, maxResponseBytes: number): UnaryCaller {
  const exchange = async (
    endpoint: Endpoint,
    path: string,
    body: Uint8Array<ArrayBuffer>,
    service: string,
    init: CallOptions,
  ): Promise<Uint8Array> => {
    const response = await fetch(urlOf(endpoint, path), requestInit(endpoint, body, init));
    endpoint.load = parseLoad(response.headers.get(loadHeader)) ?? endpoint.load;
    const type = response.headers.get("content-type") ?? "";
    // None was asked for, and a small answer may unpack to a large one.
    const isPlain = !response.headers.has("content-encoding");
    const isAnswer = response.status === 200 && type === "application/proto" && isPlain;
    const bytes = await readBody(response, isAnswer ? maxResponseBytes : maxErrorBytes);
    if (isAnswer) return bytes;
    const error = type.startsWith("application/json") ? errorFromConnect(bytes, response.headers, service) : undefined;
    // Something that does not speak the protocol: another process has the address now, or stands in between.
    throw error ?? lostError(service, new Error(`not a Connect answer: status ${response.status}, type '${type}'`));
  };

  return async (endpoint, method, request, service, { signal, timeoutMs }) => {
    if (signal.aborted) throw canceledError(service);
    if (timeoutMs <= 0) throw timeoutError(service);
    using callSignal = createCallSignal(signal, timeoutMs);
    const init = { signal: callSignal.signal, timeoutMs };
    try {
      const path = `/${method.parent.typeName}/${method.name}`;
      const bytes = await exchange(endpoint, path, toBinary(method.input, request), service, init);
      return decode(method.output, bytes, service);
    } catch (thrown) {
      throw errorFromThrown(thrown, service, signal, callSignal);
    }
  };
}

function urlOf(endpoint: Endpoint, path: string): string {
  return isUnix(endpoint) ? `http://localhost${path}` : endpoint.url + path;
}

function isUnix(endpoint: Endpoint): boolean {
  return endpoint.url.startsWith("unix:");
}

function requestInit(
  endpoint: Endpoint,
  body: Uint8Array<ArrayBuffer>,
  { signal, timeoutMs }: CallOptions,
): BunFetchRequestInit {
  return {
    method: "POST",
    headers: {
      "content-type": "application/proto",
      "connect-protocol-version": "1",
      "connect-timeout-ms": String(Math.ceil(timeoutMs)),
      "accept-encoding": "identity",
    },
    body,
    signal,
    // An address of the configuration is called, and no other that it might name.
    redirect: "manual",
    // The call has its own deadline; Bun's would end it after five silent minutes. Every option costs, so not always.
    ...(timeoutMs > bunTimeoutMs ? { timeout: false } : {}),
    ...(isUnix(endpoint) ? { unix: endpoint.url.slice("unix:".length) } : {}),
  };
}

function decode<Output extends DescMessage>(schema: Output, bytes: Uint8Array, service: string): MessageShape<Output> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new ServingError("INTERNAL", `service '${service}' gave an answer that cannot be read`, { cause });
  }
}

function errorFromThrown(thrown: unknown, service: string, caller: AbortSignal, call: CallSignal): ServingError {
  if (thrown instanceof ServingError) return thrown;
  if (caller.aborted) return canceledError(service);
  if (call.timedOut) return timeoutError(service);
  if (thrown instanceof BodyTooLargeError) {
    return new ServingError("OUTPUT_UNEXPECTED", `service '${service}' gave an answer that is too large`, {
      cause: thrown,
    });
  }
  return errorFromFetchFailure(thrown, service);
}

function canceledError(service: string): ServingError {
  return new ServingError("CANCELED", `the call of service '${service}' was canceled`);
}

function timeoutError(service: string): ServingError {
  return new ServingError("DEADLINE_EXCEEDED", `service '${service}' did not answer in time`);
}
