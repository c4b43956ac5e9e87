import { type Client, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { type Reason, ServingError } from "../../../../proto/errors.ts";
import { GRPCInferenceService } from "../../../../proto/gen/inference/grpc_service_pb.ts";
import { orAborted } from "../call-ends.ts";
import type { RemoteProtocolOptions } from "../protocol.ts";
import { brokenError, serverError, unreachableError, unusableError } from "../server-error.ts";

/** What one call is bounded by. */
export interface GrpcBounds {
  readonly signal: AbortSignal;
  /** Told to the server as its deadline. */
  readonly timeoutMs: number | undefined;
}

/** Calls an inference server over gRPC. */
export interface GrpcClient {
  /** Runs a call when there is a connection. Rejects with ServingError, and nothing else. */
  call<Result>(
    bounds: GrpcBounds,
    run: (client: Client<typeof GRPCInferenceService>, options: CallInit) => Promise<Result>,
  ): Promise<Result>;
  close(): void;
}

/** What the generated client's methods are called with. */
export interface CallInit {
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/**
 * How long a connection may be silent before it is asked whether it is still there. gRPC servers allow this every five
 * minutes unless told otherwise, and close a connection that asks more often, with the calls on it.
 */
const pingIntervalMs = 330_000;

/** Builds a client of one server; its calls share one HTTP/2 connection, which is opened again when it was lost. */
export function createGrpcClient(options: RemoteProtocolOptions): GrpcClient {
  const { service, url: baseUrl, maxResponseBytes: readMaxBytes } = options;
  const sessionManager = new Http2SessionManager(baseUrl, { pingIntervalMs });
  const withHeaders: Interceptor = (next) => (request) => {
    for (const [name, value] of Object.entries(options.headers)) request.header.set(name, value);
    return next(request);
  };
  const client = createClient(
    GRPCInferenceService,
    // Compression is not asked for: a small answer may unpack to a large one.
    createGrpcTransport({ baseUrl, sessionManager, readMaxBytes, acceptCompression: [], interceptors: [withHeaders] }),
  );
  return {
    async call({ signal, timeoutMs }, run) {
      signal.throwIfAborted();
      // Asked before the call, so that a connection which does not come about is known from one that breaks.
      if ((await orAborted(sessionManager.connect(), signal)) === "error")
        throw unreachableError(service, sessionManager.error());
      const timeout = timeoutMs === undefined ? {} : { timeoutMs: Math.max(1, Math.ceil(timeoutMs)) };
      const init = { signal, ...timeout };
      try {
        return await run(client, init);
      } catch (thrown) {
        throw errorFromThrown(service, thrown, signal);
      }
    },
    close: () => sessionManager.abort(),
  };
}

/** What a status from the server means; UNAVAILABLE says that it did not run this call, and is otherwise for the probes. */
const reasonByCode: ReadonlyMap<Code, Reason> = new Map([
  [Code.InvalidArgument, "INVALID_INPUT"],
  [Code.OutOfRange, "INVALID_INPUT"],
  [Code.FailedPrecondition, "INVALID_INPUT"],
  [Code.NotFound, "SERVICE_NOT_READY"],
  [Code.Unauthenticated, "SERVICE_NOT_READY"],
  [Code.PermissionDenied, "SERVICE_NOT_READY"],
  [Code.Unavailable, "SERVICE_BUSY"],
  [Code.ResourceExhausted, "SERVICE_BUSY"],
  [Code.DeadlineExceeded, "DEADLINE_EXCEEDED"],
  [Code.Unimplemented, "UNSUPPORTED_OPERATION"],
  [Code.Canceled, "ENGINE_CRASHED"],
  [Code.Aborted, "ENGINE_CRASHED"],
]);

/** The error of a gRPC call; the signal's reason once that has aborted. */
export function errorFromThrown(service: string, thrown: unknown, signal: AbortSignal): ServingError {
  if (signal.aborted) return ServingError.from(signal.reason);
  if (thrown instanceof ServingError) return thrown;
  const error = ConnectError.from(thrown);
  const options = { cause: error };
  if (!error.isWireError) {
    if (error.code === Code.DeadlineExceeded) return serverError(service, "DEADLINE_EXCEEDED", "", options);
    if (error.rawMessage.includes("readMaxBytes")) return unusableError(service, "it is too large", error);
    // Refused before the server looked at it, as by one that is just closing the connection.
    if (error.rawMessage.includes("REFUSED_STREAM")) return unreachableError(service, error);
    return brokenError(service, error);
  }
  // gRPC's own words for a message that is too large, with the code of a server that is busy.
  const isTooLarge = /message larger than max/i.test(error.rawMessage);
  const reason = isTooLarge ? "PAYLOAD_TOO_LARGE" : (reasonByCode.get(error.code) ?? "ENGINE_FAILED");
  return serverError(service, reason, error.rawMessage, options);
}
