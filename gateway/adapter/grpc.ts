import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { type ConnectRouter, type ConnectRouterOptions, createConnectRouter } from "@connectrpc/connect";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { TcpListen } from "../../config/listen.ts";
import { ServingError } from "../../proto/errors.ts";
import type { Listener } from "./listener.ts";
import { beginCall } from "./rpc-call.ts";
import type { RpcObserver } from "./rpc-record.ts";
import { refusalFromStatus, sidHeader } from "./rpc-refusal.ts";
import { refuseCall, serveCall } from "./serve-call.ts";

/** What gRPC is served with. */
export interface GrpcOptions {
  /** Adds every service of the port. */
  readonly addServices: (router: ConnectRouter) => void;
  /** The largest message that is read. */
  readonly maxMessageBytes: number;
  /** How messages are read and written as JSON. */
  readonly jsonOptions?: ConnectRouterOptions["jsonOptions"];
  /** Told of the ends of calls. */
  readonly observer: RpcObserver;
}

/** Calls under way on one connection, of which a client waits with more, and how large the headers of one may be, as on the public port. */
const settings = { maxConcurrentStreams: 1024, maxHeaderListSize: 16_384 };
const maxHeaderListPairs = 200;

/**
 * Listens for gRPC: HTTP/2 without TLS on a port of its own, because `Bun.serve` writes no trailers.
 *
 * @throws Error when the address cannot be listened on.
 */
export async function listenGrpc(address: TcpListen, options: GrpcOptions): Promise<Listener> {
  const rests = createRests();
  const server = createServer({ settings, maxHeaderListPairs }, createHandler(options, rests));
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, resolve);
  });
  const cut = (): void => {
    for (const session of sessions) session.destroy();
  };
  return {
    url: `http://${address.host}:${portOf(server)}`,
    drain(timeoutMs) {
      rests.hurry();
      return drain(server, sessions, timeoutMs, cut);
    },
    close() {
      server.close();
      cut();
    },
  };
}

type NodeHandler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/**
 * What connectNodeAdapter is, but for the input that a call leaves unread: the adapter destroys its stream, and Bun neither
 * reads on nor resets it then, so that a client which still sends would wait for ever.
 */
function createHandler(
  { addServices, maxMessageBytes, jsonOptions, observer }: GrpcOptions,
  rests: Rests,
): NodeHandler {
  const router = createConnectRouter({
    connect: false,
    grpcWeb: false,
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: maxMessageBytes,
    requestGate: beginCall,
    ...(jsonOptions === undefined ? {} : { jsonOptions }),
  });
  addServices(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get(request.url.split("?", 1)[0] ?? "");
    const clientAddress = request.socket.remoteAddress ?? "";
    const refuse = (error: ServingError): void => {
      response.writeHead(error.class.httpStatus, { [sidHeader]: refuseCall(clientAddress, error, "grpc", observer) });
      response.end();
      request.resume();
    };
    if (handler === undefined) return refuse(refusalFromStatus(404));
    const call = callFrom(request, response);
    if (call instanceof ServingError) return refuse(call);
    const letGo = (): void => rests.discard(request);
    // What ends with an error while its client still sends is never finished for Bun: the end of the call tells of it as well.
    response.once("finish", letGo);
    const peer = {
      clientAddress,
      holdOpen() {},
      letGo,
      cut: () => request.stream.close(constants.NGHTTP2_CANCEL),
    };
    serveCall(handler, { ...call, body: bodyOf(request), peer }, observer)
      .then((answer) => universalResponseToNodeResponse(answer, response))
      // A call's own errors are answers: this one's client is gone.
      .catch(() => {});
  };
}

/** A call as the stock handlers take it; an error for one whose authority and path make no URL. */
function callFrom(request: Http2ServerRequest, response: Http2ServerResponse): UniversalServerRequest | ServingError {
  try {
    return universalRequestFromNodeRequest(request, response, undefined, undefined);
  } catch (error) {
    return new ServingError("MALFORMED_ENVELOPE", "':authority' and ':path' are no address", { cause: error });
  }
}

/** A call's input, whose stream outlives the loop that reads it. */
async function* bodyOf(request: Http2ServerRequest): AsyncGenerator<Uint8Array> {
  try {
    yield* request.iterator({ destroyOnReturn: false });
  } finally {
    request.resume();
  }
}

/** How long a client may go on sending when its call has been answered, in milliseconds. */
const restTimeoutMs = 10_000;

/** How long it may while the port drains: it is asked to go, and would hold up the drain. */
const lastRestTimeoutMs = 500;

/** What clients go on sending on streams whose calls have been answered. */
interface Rests {
  /** Reads on without end, but not for ever. */
  discard(request: Http2ServerRequest): void;
  /** From now on there is less time. */
  hurry(): void;
}

function createRests(): Rests {
  const sending = new Set<Http2ServerRequest>();
  let timeoutMs = restTimeoutMs;
  const endLater = (request: Http2ServerRequest): void => {
    const { stream } = request;
    const onLate = (): void => {
      // A client that has said all may take its time with the answer.
      if (!request.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    };
    const timer = setTimeout(onLate, timeoutMs);
    stream.once("close", () => clearTimeout(timer));
  };
  return {
    discard(request) {
      const { stream } = request;
      if (request.readableEnded || stream.closed || sending.has(request)) return;
      stream.once("close", () => sending.delete(request));
      sending.add(request);
      endLater(request);
    },
    hurry() {
      timeoutMs = lastRestTimeoutMs;
      for (const request of sending) endLater(request);
    },
  };
}

function portOf(server: Http2Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Asks each connection to end when its calls have; those that outlast the time are cut. */
async function drain(
  server: Http2Server,
  sessions: ReadonlySet<ServerHttp2Session>,
  timeoutMs: number,
  cut: () => void,
): Promise<boolean> {
  const closed = new Promise<boolean>((resolve) => server.close(() => resolve(true)));
  for (const session of sessions) session.close();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const complete = await Promise.race([closed, expired]);
  clearTimeout(timer);
  if (!complete) cut();
  return complete;
}
