import type { ClientHttp2Stream } from "node:http2";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { encodeFrame } from "../../proto/connect-frames.ts";
import { ServingError } from "../../proto/errors.ts";
import {
  InferenceService,
  type InferRequest,
  InferStreamRequestSchema,
  type InferStreamResponse,
  InferStreamResponseSchema,
  type StreamInput,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { announceHeader } from "../../proto/metadata.ts";
import type { Endpoint } from "../types.ts";
import { canceledError, errorFromThrown, timeoutError } from "./call-errors.ts";
import { type CallSignal, createCallSignal } from "./call-signal.ts";
import { errorFromEndOfStream } from "./connect-error.ts";
import type { Http2Pool } from "./http2-pool.ts";
import { cancelStream, createStreamReader, type StreamReader } from "./stream-reader.ts";
import type { CallOptions } from "./unary.ts";

/**
 * Runs one session on one endpoint: `open` begins it, `inputs` are pulled as fast as the loader takes them, and results
 * are read from the loader only as they are pulled. The first message is the loader's word that the session has its slot;
 * only the results have a `response`. An input that throws ends the session with what it threw; leaving the loop cancels
 * the session, and so does the signal, also while nothing comes. The inputs are closed, not awaited, when the session ends.
 *
 * Throws ServingError, and nothing else; messages name the request's service.
 */
export type StreamCaller = (
  endpoint: Endpoint,
  open: InferRequest,
  inputs: AsyncIterable<StreamInput>,
  options: CallOptions,
) => AsyncGenerator<InferStreamResponse, void, undefined>;

const path = `/${InferenceService.typeName}/${InferenceService.method.inferStream.name}`;
/** HTTP/2's code for a stream that its server takes no notice of, because it has as many as it takes. */
const refusedCode = 7;

/** Builds a caller of InferStream, in the Connect protocol over HTTP/2. */
export function createStreamCaller(pool: Http2Pool, maxMessageBytes: number): StreamCaller {
  return async function* call(endpoint, open, inputs, { signal, timeoutMs }) {
    const { service } = open;
    if (signal.aborted) throw canceledError(service, signal);
    if (timeoutMs <= 0) throw timeoutError(service);
    using callSignal = createCallSignal(signal, timeoutMs);
    const source = inputs[Symbol.asyncIterator]();
    let stream: ClientHttp2Stream | undefined;
    try {
      const headers = headersFor(timeoutMs);
      stream = await pool.open({ url: endpoint.url, path, headers, signal: callSignal.signal });
      const reader = createStreamReader(stream, endpoint, maxMessageBytes, callSignal.signal);
      send(stream, open, source).catch(reader.fail);
      yield* messagesFrom(reader, service);
    } catch (thrown) {
      throw sessionErrorFrom(thrown, service, signal, callSignal, stream);
    } finally {
      if (stream !== undefined) cancelStream(stream);
      // Whoever waits for the next input would keep the session's end from being told.
      source.return?.().catch(() => {});
    }
  };
}

function headersFor(timeoutMs: number): Record<string, string> {
  return {
    "content-type": "application/connect+proto",
    "connect-protocol-version": "1",
    "connect-timeout-ms": String(Math.ceil(timeoutMs)),
    [announceHeader]: "1",
  };
}

async function* messagesFrom(reader: StreamReader, service: string): AsyncGenerator<InferStreamResponse> {
  for (;;) {
    const { isEnd, body } = await reader.next();
    if (!isEnd) {
      yield decode(body, service);
      continue;
    }
    const error = errorFromEndOfStream(body, reader.header, service);
    if (error !== undefined) throw error;
    return;
  }
}

/** Sends the opening and the inputs, each when there is room for it. Rejects with what the inputs threw. */
async function send(stream: ClientHttp2Stream, open: InferRequest, source: AsyncIterator<StreamInput>): Promise<void> {
  let hasRoom = write(stream, { case: "open", value: open });
  for (;;) {
    if (!hasRoom) await room(stream);
    const { done, value } = await source.next();
    if (stream.closed || stream.destroyed) return;
    if (done === true) {
      stream.end();
      return;
    }
    hasRoom = write(stream, { case: "input", value });
  }
}

type Message = { case: "open"; value: InferRequest } | { case: "input"; value: StreamInput };

function write(stream: ClientHttp2Stream, message: Message): boolean {
  const bytes = toBinary(InferStreamRequestSchema, { $typeName: "athena.v1.InferStreamRequest", message });
  return stream.write(encodeFrame(bytes));
}

/** Resolves when the stream can take more, or is closed. */
function room(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      stream.off("drain", settle);
      stream.off("close", settle);
      resolve();
    };
    stream.on("drain", settle);
    stream.on("close", settle);
  });
}

function decode(body: Uint8Array, service: string): InferStreamResponse {
  try {
    return fromBinary(InferStreamResponseSchema, body);
  } catch (cause) {
    throw new ServingError("INTERNAL", `service '${service}' gave a result that cannot be read`, { cause });
  }
}

function sessionErrorFrom(
  thrown: unknown,
  service: string,
  caller: AbortSignal,
  call: CallSignal,
  stream: ClientHttp2Stream | undefined,
): ServingError {
  if (stream?.rstCode === refusedCode) {
    return new ServingError("SERVICE_BUSY", `service '${service}' is busy: a loader takes no further session`);
  }
  return errorFromThrown(thrown, service, caller, call);
}
