import type { ClientHttp2Stream } from "node:http2";
import { connect as connectSocket } from "node:net";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { aliveHeader } from "../../proto/metadata.ts";
import { NotConnectedError } from "./http-connection.ts";

/** HTTP/2 connections to loaders, on which sessions run side by side. */
export interface Http2Pool extends Disposable {
  /** Opens one stream: a POST whose body and answer are open. Rejects with NotConnectedError; nothing left then. */
  open(request: Http2Request): Promise<ClientHttp2Stream>;
}

/** The head of one streamed POST. */
export interface Http2Request {
  /** An http URL without a path, or `unix:/path`. */
  readonly url: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Ends the waiting for a connection. The stream that was opened is the caller's to close. */
  readonly signal: AbortSignal;
}

/** What {@link createHttp2Pool} is told. */
export interface Http2PoolOptions {
  /** How long a connection without streams stays open. */
  readonly idleTimeoutMs: number;
  /** How long a connection may take to come about; 5,000 ms unless told. */
  readonly connectTimeoutMs?: number;
  /**
   * How often a connection with streams is asked for a sign of life, so that sessions on a machine that vanished end; and how
   * often it gives one, so that the other side can find out the same. 20,000 ms unless told.
   */
  readonly pingIntervalMs?: number;
  /** How long a loader may take for it; then the connection is broken off. 10,000 ms unless told. */
  readonly pingTimeoutMs?: number;
}

/** Every server allows as many; a loader of ours refuses beyond 256. */
const maxStreamsPerConnection = 100;

interface Connection {
  readonly manager: Http2SessionManager;
  streams: number;
}

/** Builds an empty pool. Disposing of it breaks off every connection, its streams included. */
export function createHttp2Pool(options: Http2PoolOptions): Http2Pool {
  const { idleTimeoutMs, connectTimeoutMs = 5000, pingIntervalMs = 20_000, pingTimeoutMs = 10_000 } = options;
  const connections = new Map<string, Connection[]>();

  const connectionTo = (url: string): Connection => {
    const known = connections.get(url) ?? [];
    connections.set(url, known);
    // The first with room: those at the end run empty, and close.
    let connection = known.find(({ streams }) => streams < maxStreamsPerConnection);
    if (connection === undefined) {
      const limits = { pingIntervalMs, pingTimeoutMs, idleConnectionTimeoutMs: idleTimeoutMs };
      connection = { manager: createManager(url, limits), streams: 0 };
      known.push(connection);
    }
    return connection;
  };
  // A manager whose connection has closed is a small object, but URLs come and go.
  const sweep = (): void => {
    for (const [url, known] of connections) {
      const used = known.filter(({ streams, manager }) => streams > 0 || manager.state() === "idle");
      if (used.length === 0) connections.delete(url);
      else connections.set(url, used);
    }
  };
  const showLife = (): void => {
    for (const { manager, streams } of [...connections.values()].flat()) {
      if (streams > 0 && manager.state() === "open") requestNothing(manager, pingIntervalMs);
    }
  };
  const timers = [setInterval(sweep, idleTimeoutMs), setInterval(showLife, pingIntervalMs)];
  for (const timer of timers) timer.unref();

  return {
    async open({ url, path, headers, signal }) {
      const connection = connectionTo(url);
      connection.streams += 1;
      const release = (): void => {
        connection.streams -= 1;
      };
      const promise = { [aliveHeader]: String(pingIntervalMs) };
      const opening = connection.manager.request("POST", path, { ...headers, ...promise }, {});
      try {
        const stream = await within(opening, connectTimeoutMs, signal);
        stream.once("close", release);
        return stream;
      } catch (cause) {
        release();
        // It may come about all the same, after the one who asked for it has left.
        opening.then(
          (stream) => stream.destroy(),
          () => {},
        );
        throw new NotConnectedError("no connection came about", { cause });
      }
    },
    [Symbol.dispose]() {
      for (const timer of timers) clearInterval(timer);
      for (const known of connections.values()) for (const { manager } of known) manager.abort();
      connections.clear();
    },
  };
}

/**
 * Shows the other side that this one is there. HTTP/2's pings would, but Bun's server does not count them as a sign of
 * life. The answer does not matter: whoever gives none does not answer pings either, and those end the connection.
 */
function requestNothing(manager: Http2SessionManager, intervalMs: number): void {
  const asked = manager.request("HEAD", "/", { [aliveHeader]: String(intervalMs) }, { endStream: true });
  const ignore = (): void => {};
  asked.then((stream) => stream.on("error", ignore).resume(), ignore);
}

type PingLimits = ConstructorParameters<typeof Http2SessionManager>[1];

function createManager(url: string, limits: PingLimits): Http2SessionManager {
  if (!url.startsWith("unix:")) return new Http2SessionManager(url, limits);
  const path = url.slice("unix:".length);
  return new Http2SessionManager("http://localhost", limits, { createConnection: () => connectSocket(path) });
}

function within<Value>(promise: Promise<Value>, timeoutMs: number, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => end(() => reject(new Error("aborted while connecting")));
    const timer = setTimeout(() => end(() => reject(new Error("connecting took too long"))), timeoutMs);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      settle();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(
      (value) => end(() => resolve(value)),
      (error: unknown) => end(() => reject(error)),
    );
    if (signal.aborted) onAbort();
  });
}
