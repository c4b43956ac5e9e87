import { type DescMessage, type DescMethodUnary, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import { loadHeader, parseLoad } from "../../proto/metadata.ts";
import type { Endpoint } from "../types.ts";
import { canceledError, errorFromThrown, lostError, timeoutError } from "./call-errors.ts";
import { createCallSignal } from "./call-signal.ts";
import { errorFromConnect } from "./connect-error.ts";
import type { HttpPool } from "./http-pool.ts";
import { BodyTooLargeError } from "./http-response.ts";
import { noteLoad } from "./note-load.ts";

/** What bounds one call. */
export interface CallOptions {
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** How long the call may take; the loader is told. */
  readonly timeoutMs: number;
}

/** Calls one method of one endpoint. Throws ServingError, and nothing else; messages name `service`. */
export type UnaryCaller = <Input extends DescMessage, Output extends DescMessage>(
  endpoint: Endpoint,
  method: DescMethodUnary<Input, Output>,
  request: MessageShape<Input>,
  service: string,
  options: CallOptions,
) => Promise<MessageShape<Output>>;

/** An error's body is short text; more than this is not one of a loader's. */
const maxErrorBytes = 65_536;

/**
 * Builds a caller of the Connect protocol's unary methods, in protobuf over HTTP/1.1. Every answer's load, an error's
 * too, goes into its endpoint.
 */
export function createUnaryCaller(pool: HttpPool): UnaryCaller {
  const exchange = async (
    endpoint: Endpoint,
    path: string,
    body: Uint8Array,
    service: string,
    { signal, timeoutMs }: CallOptions,
  ): Promise<Uint8Array> => {
    const headers = {
      "content-type": "application/proto",
      "connect-protocol-version": "1",
      "connect-timeout-ms": String(Math.ceil(timeoutMs)),
    };
    const response = await pool.post({ url: endpoint.url, path, headers, body, signal });
    noteLoad(endpoint, parseLoad(response.header(loadHeader) ?? null));
    const type = response.header("content-type") ?? "";
    // Compression was not asked for, so nothing is unpacked: a small answer may unpack to a large one.
    if (response.status === 200 && type === "application/proto") return response.body;
    if (response.body.length > maxErrorBytes) throw new BodyTooLargeError("the error's text is too long");
    const isError = type.startsWith("application/json");
    const error = isError ? errorFromConnect(response.body, response.header, service) : undefined;
    // Something that does not speak the protocol: another process has the address now, or stands in between.
    const cause = new Error(`not a Connect answer: status ${response.status}, type '${type}'`);
    throw error ?? lostError(service, cause);
  };

  return async (endpoint, method, request, service, { signal, timeoutMs }) => {
    if (signal.aborted) throw canceledError(service, signal);
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

function decode<Output extends DescMessage>(schema: Output, bytes: Uint8Array, service: string): MessageShape<Output> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new ServingError("INTERNAL", `service '${service}' gave an answer that cannot be read`, { cause });
  }
}
