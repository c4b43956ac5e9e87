import { pino } from "pino";
import type { ServingError } from "../../proto/errors.ts";
import type { OutcomeName } from "./metrics.ts";

/** What callers speak beside sessions' own: the unified protocol ("http"), the Open Inference Protocol over REST ("oip"), or one of RPC. */
export type Protocol = "http" | "oip" | "connect" | "grpc-web" | "grpc";

/** One finished request, as the access log tells it. */
export interface AccessLogEntry {
  readonly sid: string;
  /** "" for a request that reached no service. */
  readonly service: string;
  /** The app that sent it, where admission found one. */
  readonly app?: string;
  /** What its caller spoke. */
  readonly protocol: Protocol;
  readonly outcome: OutcomeName;
  /** The HTTP status; where the protocol has none of its own, that which HTTP would have. */
  readonly status: number;
  readonly durationMs: number;
  readonly client: string;
  readonly error?: ServingError;
}

/** One session that has ended, as the access log tells it. */
export interface SessionLogEntry {
  readonly sid: string;
  readonly service: string;
  readonly protocol: string;
  readonly client: string;
  /** The app that opened it; "" where admission found none. */
  readonly app?: string;
  readonly outcome: OutcomeName;
  readonly durationMs: number;
  readonly firstResultMs: number | undefined;
  readonly framesIn: number;
  readonly framesOut: number;
  readonly error: ServingError | undefined;
}

/** One question about the services, such as their health, as the access log tells it. */
export interface LookupLogEntry {
  readonly protocol: Protocol;
  /** What was asked: a method, or a path without what callers choose in it; "" for what is not there. */
  readonly path: string;
  readonly outcome: OutcomeName;
  /** As in {@link AccessLogEntry}. */
  readonly status: number;
  readonly durationMs: number;
  readonly client: string;
  readonly error?: ServingError;
}

/** Writes one line for each finished request, for each session and for each lookup. */
export interface AccessLog {
  write(entry: AccessLogEntry): void;
  writeSession(entry: SessionLogEntry): void;
  writeLookup(entry: LookupLogEntry): void;
  /** Writes out what is still in memory, or gives it up after a second. */
  flush(): Promise<void>;
}

/** Where lines go. */
export interface LineDestination {
  write(line: string): unknown;
  /** Calls back when everything is written, or cannot be. */
  flush(done: () => void): void;
}

/** How long the last lines may take. */
const lastWordsMs = 1000;

/**
 * Builds the access log on standard output. Its lines gather in memory for up to 200 ms or 8 KiB: writing each at once
 * would cost a system call on every request. They have the form of the process's other log lines; putting them together
 * here costs a third of what the logger would, and this is on every request.
 */
export function createAccessLog(destination: LineDestination = bufferedStdout(), now = Date.now): AccessLog {
  const write = (entry: object, durationMs: number, error: ServingError | undefined, msg: string): void => {
    const line = {
      level: error === undefined ? "info" : "warn",
      time: now(),
      name: "access",
      ...entry,
      durationMs: toMicroseconds(durationMs),
      ...(error === undefined ? {} : { reason: error.message, ...causeOf(error) }),
      msg,
    };
    destination.write(`${JSON.stringify(line)}\n`);
  };
  return {
    write: ({ error, durationMs, ...entry }) => write(entry, durationMs, error, "request"),
    writeSession({ error, durationMs, firstResultMs, app, ...entry }) {
      const first = firstResultMs === undefined ? {} : { firstResultMs: toMicroseconds(firstResultMs) };
      const sender = app ? { app } : {};
      write({ ...entry, ...sender, ...first }, durationMs, error, "session");
    },
    writeLookup: ({ error, durationMs, ...entry }) => write(entry, durationMs, error, "lookup"),
    flush: () =>
      new Promise((resolve) => {
        // Whoever read the lines may be gone, which must not keep the process from its end.
        const timer = setTimeout(resolve, lastWordsMs);
        destination.flush(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** What callers are not told: the cause, and the stack where the fault is our own. */
function causeOf(error: ServingError): { err?: unknown } {
  const hidden = error.reason === "INTERNAL" ? error : error.cause;
  return hidden instanceof Error ? { err: pino.stdSerializers.err(hidden) } : {};
}

function bufferedStdout(): LineDestination {
  return pino.destination({ dest: 1, sync: false, minLength: 8192, periodicFlush: 200 });
}
