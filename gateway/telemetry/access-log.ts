import { type DestinationStream, pino } from "pino";
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
  /** Why it failed, with what callers are not told. */
  readonly error?: Error;
}

/** Writes one line for each finished request. */
export interface AccessLog {
  write(entry: AccessLogEntry): void;
  /** Writes out what is still in memory. */
  flush(): void;
}

/**
 * Builds the access log on standard output. Its lines gather in memory for up to 200 ms or 16 KiB: writing each at once
 * would cost a system call on every request.
 */
export function createAccessLog(destination: DestinationStream & { flushSync(): void } = bufferedStdout()): AccessLog {
  const logger = pino({ base: { name: "access" }, formatters: { level: (label) => ({ level: label }) } }, destination);
  return {
    write({ error, ...entry }) {
      if (error === undefined) logger.info(entry, "request");
      else logger.warn({ ...entry, err: error }, "request");
    },
    flush: () => destination.flushSync(),
  };
}

function bufferedStdout(): DestinationStream & { flushSync(): void } {
  return pino.destination({ dest: 1, sync: false, minLength: 16_384, periodicFlush: 200 });
}
