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
export function listen(address: Listen, fetch: (request: Request) => Response | Promise<Response>): Listener {
  const common = {
    // Handlers refuse what is too large themselves, with the protocol's own answer.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request: Request, server: Bun.Server<undefined>) {
      server.timeout(request, "unix" in address ? 0 : silenceSeconds(request));
      return fetch(request);
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
    drain: (timeoutMs) => drainServer(server, timeoutMs),
    close: () => void server.stop(true),
  };
}

/** The most that is believed of a caller's promise: its triple is near the longest time that Bun's timers take. */
const longestAliveMs = 60_000;
/** Bun's timers for connections tick so often, in seconds, and may be early by one tick. */
const tickSeconds = 4;

/**
 * How long the connection of a request may be silent from now on, in seconds; 0: for ever. An engine may compute for longer
 * than any connection is silent, and the call's deadline bounds it. But a session may be long and quiet, and a gateway
 * whose machine or network is gone does not end it: gateways promise a sign of life, and may miss two.
 */
function silenceSeconds({ headers }: Request): number {
  const aliveMs = Number(headers.get(aliveHeader) ?? 0);
  if (!(aliveMs > 0 && aliveMs <= longestAliveMs)) return 0;
  return Math.ceil((3 * aliveMs) / 1000) + tickSeconds;
}
