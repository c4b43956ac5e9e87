import { type HttpConnection, openConnection, type SocketAddress } from "./http-connection.ts";
import type { HttpResponse } from "./http-response.ts";

/** One POST. */
export interface PostRequest {
  /** An http URL without a path, or `unix:/path`. */
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Breaks the connection off when it aborts. */
  readonly signal: AbortSignal;
}

/** Keep-alive connections to loaders, as many as there are calls under way. */
export interface HttpPool extends Disposable {
  /** Rejects with NotConnectedError when nothing of the request left, and with any other Error when it may have. */
  post(request: PostRequest): Promise<HttpResponse>;
}

/** What {@link createHttpPool} is told. */
export interface HttpPoolOptions {
  readonly maxResponseBytes: number;
  /**
   * How long an unused connection stays open. Loaders keep theirs open for longer: a request on a connection that the
   * other side is just closing is lost.
   */
  readonly idleTimeoutMs: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

interface Idle {
  readonly connection: HttpConnection;
  readonly since: number;
}

/** Builds an empty pool. Disposing of it closes its unused connections. */
export function createHttpPool({ maxResponseBytes, idleTimeoutMs, now }: HttpPoolOptions): HttpPool {
  const idle = new Map<string, Idle[]>();

  const sweep = (): void => {
    for (const [url, connections] of idle) {
      // The last one used is the first one taken, so the oldest stand in front.
      const firstFresh = connections.findIndex(({ since }) => now() - since < idleTimeoutMs);
      for (const { connection } of connections.splice(0, firstFresh === -1 ? connections.length : firstFresh)) {
        connection.close();
      }
      if (connections.length === 0) idle.delete(url);
    }
  };
  const timer = setInterval(sweep, idleTimeoutMs / 2);
  timer.unref();

  const take = (url: string): HttpConnection | undefined => {
    const connections = idle.get(url);
    for (let last = connections?.pop(); last !== undefined; last = connections?.pop()) {
      if (last.connection.isOpen) return last.connection;
    }
    return undefined;
  };
  const give = (url: string, connection: HttpConnection): void => {
    if (!connection.isOpen) return;
    const connections = idle.get(url);
    if (connections === undefined) idle.set(url, [{ connection, since: now() }]);
    else connections.push({ connection, since: now() });
  };

  return {
    async post(request) {
      const { url, signal } = request;
      const connection = take(url) ?? (await openUnlessAborted(addressFromUrl(url), maxResponseBytes, signal));
      const onAbort = (): void => connection.close();
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        const response = await connection.exchange(bytesOf(request));
        give(url, connection);
        return response;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      for (const connections of idle.values()) for (const { connection } of connections) connection.close();
      idle.clear();
    },
  };
}

/** A connection that comes about after its caller has left is closed. */
async function openUnlessAborted(
  address: SocketAddress,
  maxResponseBytes: number,
  signal: AbortSignal,
): Promise<HttpConnection> {
  const opening = openConnection(address, maxResponseBytes);
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    aborted.reject(new Error("aborted while connecting"));
    opening.then(
      (connection) => connection.close(),
      () => {},
    );
  };
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([opening, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

const addresses = new Map<string, SocketAddress>();

/** Where a URL leads; URLs come from the configuration, so there are few. */
function addressFromUrl(url: string): SocketAddress {
  let address = addresses.get(url);
  if (address === undefined) {
    if (url.startsWith("unix:")) address = { unix: url.slice("unix:".length) };
    else {
      const { hostname, port } = new URL(url);
      address = { hostname: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 80) };
    }
    addresses.set(url, address);
  }
  return address;
}

/** Head and body in one buffer: one write is one system call, and often one packet. */
function bytesOf({ url, path, headers, body }: PostRequest): Uint8Array {
  const host = url.startsWith("unix:") ? "localhost" : url.slice(url.indexOf("//") + 2);
  let head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${body.length}\r\n`;
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  head += "\r\n";
  const bytes = Buffer.allocUnsafeSlow(head.length + body.length);
  bytes.write(head, 0, "latin1");
  bytes.set(body, head.length);
  return bytes;
}
