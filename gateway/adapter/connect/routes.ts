import { type ConnectRouter, type ConnectRouterOptions, createConnectRouter } from "@connectrpc/connect";
import { universalServerRequestFromFetch, universalServerResponseToFetch } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import type { HttpBindings } from "../http.ts";
import { beginCall } from "../rpc-call.ts";
import type { RpcObserver } from "../rpc-record.ts";
import { type ReceivedCall, serveCall } from "../serve-call.ts";
import { serveToInputEnd } from "./unread-input.ts";

/** What Connect and gRPC-Web are served with. */
export interface ConnectRoutesOptions {
  /** Adds every service of the port. */
  readonly addServices: (router: ConnectRouter) => void;
  /** The largest message that is read, after decompression. */
  readonly maxMessageBytes: number;
  /** How messages are read and written as JSON. */
  readonly jsonOptions?: ConnectRouterOptions["jsonOptions"];
  /** Told of the ends of calls. */
  readonly observer: RpcObserver;
}

/** Answers a request to one of the services' paths; undefined for any other. */
export type ConnectRoutes = (request: Request, bindings: HttpBindings) => Promise<Response> | undefined;

/**
 * Serves Connect and gRPC-Web through the stock handlers: JSON and protobuf, gzip and brotli, streams, over HTTP/1.1 and
 * HTTP/2. gRPC has a port of its own, since it needs trailers.
 */
export function createConnectRoutes({
  addServices,
  maxMessageBytes,
  jsonOptions,
  observer,
}: ConnectRoutesOptions): ConnectRoutes {
  const router = createConnectRouter({
    grpc: false,
    acceptCompression: [compressionGzip, compressionBrotli],
    readMaxBytes: maxMessageBytes,
    requestGate: beginCall,
    ...(jsonOptions === undefined ? {} : { jsonOptions }),
  });
  addServices(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  type Handler = (typeof router.handlers)[number];
  const answer = async (handler: Handler, request: Request, bindings: HttpBindings): Promise<Response> => {
    // Bun does not tell a request's version. The stock handlers refuse streams in both directions over HTTP/1.1; here they
    // work for a client that sends all of its messages before it reads.
    const call = { ...universalServerRequestFromFetch(request, { httpVersion: "2" }), peer: bindings };
    const serve = (received: ReceivedCall) => serveCall(handler, received, observer);
    const isBidi = handler.method.methodKind === "bidi_streaming";
    // Only HTTP/1.1 has this header.
    const mayClose = isBidi && request.headers.has("transfer-encoding");
    const response = universalServerResponseToFetch(await (mayClose ? serveToInputEnd(call, serve) : serve(call)));
    // Over HTTP/1.1 a client could go on sending for ever when its call is over; HTTP/2 knows no such header and ends the stream.
    if (isBidi) response.headers.set("connection", "close");
    return response;
  };
  return (request, bindings) => {
    const handler = handlers.get(pathOf(request.url));
    return handler === undefined ? undefined : answer(handler, request, bindings);
  };
}

/** The path of an absolute URL, without a URL object: this is asked for every request. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const end = url.indexOf("?", start);
  return url.slice(start, end === -1 ? undefined : end);
}
