import { ServingError } from "../../../proto/errors.ts";
import type { Admission } from "../../admission/admission.ts";
import type { SessionPipeline } from "../../session-pipeline.ts";
import type { Call, Envelope } from "../../types.ts";
import { hostOf, targetOf } from "../http.ts";
import { type Connection, type ConnectionLimits, createConnection } from "./connection.ts";
import type { InboxLimits } from "./inbox.ts";
import { createJsonCodec } from "./json-codec.ts";
import { ticksPerTimeout } from "./liveness.ts";
import { protoCodec, protoSubprotocol } from "./proto-codec.ts";
import type { ResumeLimits } from "./resumable-session.ts";
import { createSessionStore } from "./session-store.ts";

/** What the WebSocket adapter is built from. */
export interface WebSocketAdapterOptions {
  readonly sessions: SessionPipeline;
  readonly admission: Admission;
  /** Reads the text of one envelope. */
  readonly decode: (text: string) => Envelope;
  readonly limits: ConnectionLimits;
  /** What one session's frames may hold before the service takes them. */
  readonly inbox: InboxLimits;
  /** How sessions outlive their connections; a window of 0 ms: they do not. */
  readonly resume: ResumeLimits;
  /** How many sessions may be kept for clients that come back. */
  readonly maxResumable: number;
  /** How many WebSockets may be open at once. */
  readonly maxConnections: number;
  /** How long a client may leave pings unanswered. */
  readonly pingTimeoutMs: number;
  /** While true, no connection is of use any more. */
  readonly isDraining: () => boolean;
}

/** A request that becomes a WebSocket. */
export interface Upgrade {
  readonly connection: Connection;
  /** The subprotocol that was chosen; undefined where the client named none that is known. */
  readonly subprotocol: string | undefined;
}

/** The unified protocol's sessions over WebSocket, on the same paths as its once-calls. */
export interface WebSocketAdapter {
  /**
   * Makes a connection for a request to upgrade, whose sender is known by its headers. Throws SERVICE_NOT_FOUND for a path of
   * no service, and what admission throws.
   */
  accept(request: Request, clientAddress: string): Promise<Upgrade>;
  /** What it holds now. */
  counts(): { readonly connections: number; readonly resumable: number };
  /** Closes the connections that have no session, and the others as soon as they have none. */
  drain(): void;
}

/** The subprotocol of JSON frames, for clients that have to name one. */
const jsonSubprotocol = "athena.v1.json";

/** Builds the adapter. */
export function createWebSocketAdapter(options: WebSocketAdapterOptions): WebSocketAdapter {
  const { sessions, admission, decode, limits, maxConnections, isDraining } = options;
  const connections = new Set<Connection>();
  let ticking: ReturnType<typeof setInterval> | undefined;
  const tick = (): void => {
    for (const connection of connections) connection.tick();
  };
  const add = (connection: Connection): void => {
    connections.add(connection);
    ticking ??= setInterval(tick, options.pingTimeoutMs / ticksPerTimeout);
  };
  const onClosed = (connection: Connection): void => {
    connections.delete(connection);
    if (connections.size > 0) return;
    clearInterval(ticking);
    ticking = undefined;
  };
  const store = createSessionStore(options.maxResumable);
  const resume = options.resume.windowMs === 0 ? undefined : { store, limits: options.resume };

  const refusalNow = (): ServingError | undefined => {
    if (isDraining()) return new ServingError("DRAINING", "the gateway is shutting down");
    if (connections.size < maxConnections) return undefined;
    const message = `the gateway is busy: it has ${connections.size} WebSockets, as many as it may`;
    return new ServingError("SERVICE_BUSY", message);
  };
  return {
    async accept(request, clientAddress) {
      const url = new URL(request.url);
      const call = callFrom(request, url, clientAddress);
      const service = sessions.find(call);
      const caller = await admission(call);
      const subprotocol = subprotocolFrom(request.headers.get("sec-websocket-protocol"));
      const refusal = refusalNow();
      const isMultiplexed = url.searchParams.get("stream_mode") === "multiplex";
      const isResumable = resume !== undefined && url.searchParams.get("resume") === "true";
      const isProto = subprotocol === protoSubprotocol;
      const codec = isProto ? protoCodec : createJsonCodec({ decode, isMultiplexed, isResumable });
      const connection = createConnection({
        setup: { sessions, call, caller, codec, limits: options.inbox },
        service,
        isMultiplexed: isMultiplexed && refusal === undefined,
        limits,
        resume: isResumable && refusal === undefined ? resume : undefined,
        refusal,
        onClosed,
      });
      add(connection);
      return { connection, subprotocol };
    },
    counts: () => ({ connections: connections.size, resumable: store.size }),
    drain() {
      for (const connection of connections) connection.drain();
    },
  };
}

function callFrom({ headers, method, url: text }: Request, url: URL, clientAddress: string): Omit<Call, "signal"> {
  return {
    method,
    target: () => targetOf(text),
    path: url.pathname,
    host: hostOf(headers).replace(/:\d+$/, ""),
    serviceId: url.searchParams.get("serviceId"),
    clientAddress,
    header: (name) => headers.get(name),
  };
}

/** The first of the client's subprotocols that is known; a client that names others gets JSON, and none of its names. */
function subprotocolFrom(header: string | null): string | undefined {
  const named = header?.split(",").map((name) => name.trim()) ?? [];
  return named.find((name) => name === protoSubprotocol || name === jsonSubprotocol);
}
