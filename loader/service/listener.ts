import { drainServer } from "../../config/lifecycle.ts";
import type { Listen } from "../../config/listen.ts";
import { aliveHeader } from "../../proto/metadata.ts";

/** An address that is listened on. */
export interface Listener {
  /** A base URL, or `unix:/path`. */
  readonly url: string;
  /** Takes no new connection and waits for the requests in flight; false when some outlast `timeoutMs`, and are cut. */
  drain(timeoutMs: number): Promise<boolean>;
  close(): void;
}

/** Answers requests. */
export type Handler = (request: Request, watch: Watch) => Response | Promise<Response>;

/**
 * Ends the connection of a request when its caller has vanished, as long as the request is under way: callers that promise a
 * sign of life (`aliveHeader`) may miss two. Whoever calls this disposes of what it gives at the request's end.
 */
export type Watch = () => Disposable;

/**
 * How long a connection may be silent, in seconds. Gateways close theirs within 38, so that a request never meets a
 * connection that this side is just closing.
 */
const idleTimeoutSeconds = 120;

/**
 * Bun takes these for a Unix socket too; its types name them for TCP only. There its idle timeout would end connections
 * that are in use, and is not needed: the kernel tells when the other side is gone.
 */
const untypedForUnix: object = { http2: true, idleTimeout: 0 };

/**
 * Listens for HTTP/1.1, and HTTP/2 without TLS, on one port or Unix socket.
 *
 * @throws Error when the address cannot be listened on.
 */
export function listen(address: Listen, fetch: Handler): Listener {
  // A Unix socket needs no watch: the kernel tells.
  const watches = "unix" in address ? undefined : createWatches();
  const common = {
    // Handlers refuse what is too large themselves, with the protocol's own answer.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request: Request, server: Bun.Server<undefined>) {
      // An engine may compute for longer than a connection may be silent; the call's deadline bounds it.
      server.timeout(request, 0);
      if (request.method === "HEAD") watches?.heard(request, server);
      return fetch(request, () => watches?.watch(request, server) ?? unwatched);
    },
  };
  const server =
    "unix" in address
      ? Bun.serve({ ...common, ...untypedForUnix, unix: address.unix })
      : Bun.serve({
          ...common,
          hostname: address.host,
          port: address.port,
          idleTimeout: idleTimeoutSeconds,
          http2: true,
        });
  return {
    url: "unix" in address ? `unix:${address.unix}` : `http://${address.host}:${server.port}`,
    drain(timeoutMs) {
      watches?.lift(server);
      return drainServer(server, timeoutMs);
    },
    close: () => void server.stop(true),
  };
}

const unwatched: Disposable = { [Symbol.dispose]() {} };

type Server = Pick<Bun.Server<undefined>, "timeout">;

/** The connections whose callers promise to show that they are there. */
function createWatches() {
  const watched = new Set<Request>();
  let isLifted = false;
  const heard = (request: Request, server: Server): void => {
    if (!isLifted) server.timeout(request, silenceSeconds(request));
  };
  return {
    /** Each request on a connection begins the time of its silence anew. */
    heard,
    watch(request: Request, server: Server): Disposable {
      heard(request, server);
      watched.add(request);
      return { [Symbol.dispose]: () => void watched.delete(request) };
    },
    /** While this side drains, nothing can come on its connections any more that shows life; and the drain is bounded. */
    lift(server: Server): void {
      isLifted = true;
      for (const request of watched) server.timeout(request, 0);
    },
  };
}

/** The most that is believed of a caller's promise: its triple is near the longest time that Bun's timers take. */
const longestAliveMs = 60_000;
/** Bun's timers for connections tick so often, in seconds, and may be early by one tick. */
const tickSeconds = 4;

/** How long the connection of a request may be silent from now on, in seconds; 0: for ever. */
function silenceSeconds({ headers }: Request): number {
  const aliveMs = Number(headers.get(aliveHeader) ?? 0);
  if (!(aliveMs > 0 && aliveMs <= longestAliveMs)) return 0;
  return Math.ceil((3 * aliveMs) / 1000) + tickSeconds;
}
