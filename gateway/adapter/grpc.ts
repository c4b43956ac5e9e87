import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { TcpListen } from "../../config/listen.ts";
import type { Listener } from "./listener.ts";
import { contextValuesFrom } from "./rpc-call.ts";

/** What gRPC is served with. */
export interface GrpcOptions {
  /** Adds every service of the port. */
  readonly addServices: (router: ConnectRouter) => void;
  /** The largest message that is read. */
  readonly maxMessageBytes: number;
}

/** Calls under way on one connection; a client waits with more. */
const maxConcurrentStreams = 1024;

/**
 * Listens for gRPC: HTTP/2 without TLS on a port of its own, because `Bun.serve` writes no trailers.
 *
 * @throws Error when the address cannot be listened on.
 */
export async function listenGrpc(address: TcpListen, { addServices, maxMessageBytes }: GrpcOptions): Promise<Listener> {
  const handler = connectNodeAdapter({
    routes: addServices,
    connect: false,
    grpcWeb: false,
    readMaxBytes: maxMessageBytes,
    contextValues: ({ socket }) => contextValuesFrom({ clientAddress: socket.remoteAddress ?? "", holdOpen() {} }),
  });
  const server = createServer({ settings: { maxConcurrentStreams } }, handler);
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
    drain: (timeoutMs) => drain(server, sessions, timeoutMs, cut),
    close() {
      server.close();
      cut();
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
