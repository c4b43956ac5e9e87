import { drainServer } from "../../config/lifecycle.ts";
import type { TcpListen } from "../../config/listen.ts";
import { ServingError } from "../../proto/errors.ts";
import type { HttpBindings } from "./http.ts";
import type { WebSocketAdapter } from "./websocket/adapter.ts";
import type { Connection } from "./websocket/connection.ts";
import { handshakeMistake, isHandshake } from "./websocket/handshake.ts";

/** A port that is listened on. */
export interface Listener {
  /** Its base URL, with the port that was really taken. */
  readonly url: string;
  /** Takes no new connection and waits for the requests in flight; false when some outlast `timeoutMs`, and are cut. */
  drain(timeoutMs: number): Promise<boolean>;
  close(): void;
}

/** Answers one request. */
export type FetchHandler = (request: Request, bindings: HttpBindings) => Response | Promise<Response>;

/** How long a connection may be silent, in seconds: the most that Bun takes, since many answers take a minute. */
const defaultIdleTimeoutSeconds = 255;
/** More than the largest frame and what may wait before it. */
const unsentLimitBytes = 268_435_456;

/** How a listener takes WebSockets. */
export interface WebSocketOptions {
  readonly adapter: WebSocketAdapter;
  /** Answers a request to upgrade that must not become a WebSocket; undefined for the others. */
  readonly refuse: (request: Request, clientAddress: string) => Response | undefined;
  /** Answers a request to upgrade whose sender admission refused. */
  readonly answerRefused: (error: ServingError, clientAddress: string) => Response;
  /** The largest frame that is taken; a larger one closes its connection with 1009. */
  readonly maxFrameBytes: number;
  /** How long a client may leave pings unanswered. */
  readonly pingTimeoutMs: number;
}

interface SocketData {
  readonly connection: Connection;
}

/**
 * Listens for HTTP/1.1, HTTP/2 without TLS and, where they are told, WebSockets on one port.
 *
 * @throws Error when the address cannot be listened on.
 */
export function listen(
  address: TcpListen,
  fetch: FetchHandler,
  webSockets?: WebSocketOptions,
  idleTimeoutSeconds = defaultIdleTimeoutSeconds,
): Listener {
  const server = Bun.serve<SocketData>({
    hostname: address.host,
    port: address.port,
    http2: true,
    idleTimeout: idleTimeoutSeconds,
    // The adapter refuses what is too large itself, with the protocol's own answer; unread bytes are not kept.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request, server) {
      const bindings = bindingsOf(request, server, idleTimeoutSeconds);
      const answer = () => fetch(request, bindings);
      if (webSockets === undefined || !isUpgrade(request)) return answer();
      const refusal = webSockets.refuse(request, bindings.clientAddress);
      if (refusal !== undefined) return refusal;
      return upgrade(request, server, webSockets.adapter).then((end) => {
        if (end === "upgraded") return undefined;
        return end === "no upgrade" ? answer() : webSockets.answerRefused(end, bindings.clientAddress);
      });
    },
    websocket: {
      maxPayloadLength: webSockets?.maxFrameBytes ?? 0,
      // What a client does not read is bounded by its connection, which knows what it has sent; this is for pongs.
      backpressureLimit: unsentLimitBytes,
      closeOnBackpressureLimit: true,
      // Bun pings a client before this time of silence is over, and closes the connection when nothing comes.
      idleTimeout: Math.min(960, Math.ceil((webSockets?.pingTimeoutMs ?? 0) / 1000)),
      open: (socket) => socket.data.connection.open(socket),
      message: (socket, data) => socket.data.connection.message(data),
      ping: (socket) => socket.data.connection.heard(),
      pong: (socket) => socket.data.connection.heard(),
      drain: (socket) => socket.data.connection.drained(),
      close: (socket, code, reason) => socket.data.connection.closed(code, reason),
    },
  });
  return {
    url: `http://${address.host}:${server.port}`,
    drain: (timeoutMs) => drainServer(server, timeoutMs),
    close: () => void server.stop(true),
  };
}

function bindingsOf(request: Request, server: Bun.Server<SocketData>, idleTimeoutSeconds: number): HttpBindings {
  let isHeld = false;
  return {
    clientAddress: server.requestIP(request)?.address ?? "",
    holdOpen() {
      isHeld = true;
      server.timeout(request, 0);
    },
    letGo() {
      if (isHeld) server.timeout(request, idleTimeoutSeconds);
      isHeld = false;
    },
    cut() {
      isHeld = false;
      // A body that fails ends nothing while its client reads nothing; a connection that is silent with no other call does.
      server.timeout(request, 1);
    },
    idleTimeoutMs: idleTimeoutSeconds * 1000,
  };
}

function isUpgrade(request: Request): boolean {
  return isHandshake(request) && handshakeMistake(request) === undefined;
}

/** Turns a request into a WebSocket, or says that it is to be answered as a request, or why it must not be. */
async function upgrade(
  request: Request,
  server: Bun.Server<SocketData>,
  adapter: WebSocketAdapter,
): Promise<"upgraded" | "no upgrade" | ServingError> {
  try {
    const { connection, subprotocol } = await adapter.accept(request, server.requestIP(request)?.address ?? "");
    const headers: Record<string, string> = subprotocol === undefined ? {} : { "sec-websocket-protocol": subprotocol };
    if (server.upgrade(request, { data: { connection }, headers })) return "upgraded";
    connection.closed(1006, "the handshake failed");
    return "no upgrade";
  } catch (error) {
    // What is at a path of no service the answer to a request says. Who may not would be asked a second time there.
    return error instanceof ServingError && error.reason !== "SERVICE_NOT_FOUND" ? error : "no upgrade";
  }
}
