import { pino } from "pino";
import type { ServingError } from "../../proto/errors.ts";
import type { OutcomeName } from "./metrics.ts";

/** One finished request, as the access log tells it. */
export interface AccessLogEntry {
  readonly sid: string;
  /** "" for a request that reached no service. */
  readonly service: string;
  /** The app that sent it, where admission found one. */
  readonly app?: string;
  readonly outcome: OutcomeName;
  readonly status: number;
  readonly durationMs: number;
  readonly client: string;
  readonly error?: ServingError;
}

/** Writes one line for each finished request. */
export interface AccessLog {
  write(entry: AccessLogEntry): void;
  /** Writes out what is still in memory. */
  flush(): void;
}

/** Where lines go. */
export interface LineDestination {
  write(line: string): unknown;
  flushSync(): void;
}

/**
 * Builds the access log on standard output. Its lines gather in memory for up to 200 ms or 8 KiB: writing each at once
 * would cost a system call on every request. They have the form of the process's other log lines; putting them together
 * here costs a third of what the logger would, and this is on every request.
 */
export function createAccessLog(destination: LineDestination = bufferedStdout(), now = Date.now): AccessLog {
  return {
    write({ error, durationMs, ...entry }) {
      const line = {
        level: error === undefined ? "info" : "warn",
        time: now(),
        name: "access",
        ...entry,
        durationMs: Math.round(durationMs * 1000) / 1000,
        ...(error === undefined ? {} : { reason: error.message, ...causeOf(error) }),
        msg: "request",
      };
      destination.write(`${JSON.stringify(line)}\n`);
    },
    flush: () => destination.flushSync(),
  };
}

/** What callers are not told: the cause, and the stack where the fault is our own. */
function causeOf(error: ServingError): { err?: unknown } {
  const hidden = error.reason === "INTERNAL" ? error : error.cause;
  return hidden instanceof Error ? { err: pino.stdSerializers.err(hidden) } : {};
}

function bufferedStdout(): LineDestination {
  return pino.destination({ dest: 1, sync: false, minLength: 8192, periodicFlush: 200 });
}
