import { drainServer } from "../../config/lifecycle.ts";
import type { TcpListen } from "../../config/listen.ts";
import type { HttpBindings } from "./http.ts";

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
const idleTimeoutSeconds = 255;

/**
 * Listens for HTTP/1.1, and HTTP/2 without TLS, on one port.
 *
 * @throws Error when the address cannot be listened on.
 */
export function listen(address: TcpListen, fetch: FetchHandler): Listener {
  const server = Bun.serve({
    hostname: address.host,
    port: address.port,
    http2: true,
    idleTimeout: idleTimeoutSeconds,
    // The adapter refuses what is too large itself, with the protocol's own answer; unread bytes are not kept.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch(request, server) {
      return fetch(request, {
        clientAddress: server.requestIP(request)?.address ?? "",
        holdOpen: () => server.timeout(request, 0),
        idleTimeoutMs: idleTimeoutSeconds * 1000,
      });
    },
  });
  return {
    url: `http://${address.host}:${server.port}`,
    drain: (timeoutMs) => drainServer(server, timeoutMs),
    close: () => void server.stop(true),
  };
}
