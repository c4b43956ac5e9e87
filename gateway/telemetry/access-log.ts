import { type DestinationStream, pino } from "pino";
import type { ServingError } from "../../proto/errors.ts";
import type { OutcomeName } from "./metrics.ts";

/** One finished request, as the access log tells it. */
export interface AccessLogEntry {
  readonly sid: string;
  /** "" for a request that reached no service. */
  readonly service: string;
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

/**
 * Builds the access log on standard output. Its lines gather in memory for up to 200 ms or 8 KiB: writing each at once
 * would cost a system call on every request.
 */
export function createAccessLog(destination: DestinationStream & { flushSync(): void } = bufferedStdout()): AccessLog {
  const logger = pino({ base: { name: "access" }, formatters: { level: (label) => ({ level: label }) } }, destination);
  return {
    write({ error, ...entry }) {
      if (error === undefined) logger.info(entry, "request");
      else logger.warn({ ...entry, reason: error.message, ...causeOf(error) }, "request");
    },
    flush: () => destination.flushSync(),
  };
}

/** What callers are not told: the cause, and the stack where the fault is our own. */
function causeOf(error: ServingError): { err?: unknown } {
  if (error.reason === "INTERNAL") return { err: error };
  return error.cause === undefined ? {} : { err: error.cause };
}

function bufferedStdout(): DestinationStream & { flushSync(): void } {
  return pino.destination({ dest: 1, sync: false, minLength: 8192, periodicFlush: 200 });
}
