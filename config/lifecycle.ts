import { ConfigError } from "./load.ts";
import type { Logger } from "./logger.ts";

/** What runs until it is asked to stop. */
export interface Drainable {
  /** Takes nothing new and finishes what is under way; false when some of it did not finish in time. */
  drain(): Promise<boolean>;
  /** What SIGHUP asks for; without it that signal ends the process, as it does by default. */
  reload?(): Promise<unknown>;
}

/** Signals that follow each other this soon are one: `bun run` passes on what the terminal has sent to the process already. */
const oneSignalMs = 300;

/**
 * Starts a process's work and ends the process when SIGTERM or SIGINT comes: with 0 when all that was under way has
 * finished, else with 1. A second signal ends it at once. What the start throws is logged, and the process ends with 1.
 */
export async function runUntilSignal(logger: Logger, start: () => Drainable | Promise<Drainable>): Promise<void> {
  try {
    const running = await start();
    let askedAt: number | undefined;
    const stop = async (signal: string): Promise<void> => {
      if (askedAt !== undefined) {
        if (performance.now() - askedAt > oneSignalMs) process.exit(1);
        return;
      }
      askedAt = performance.now();
      logger.info({ signal }, "draining");
      const complete = await running.drain().catch((error: unknown) => {
        logger.error({ err: error }, "the drain failed");
        return false;
      });
      logger.info({ complete }, "stopped");
      process.exit(complete ? 0 : 1);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    if (running.reload !== undefined) process.on("SIGHUP", () => void running.reload?.());
  } catch (error) {
    if (error instanceof ConfigError) logger.fatal({ mistakes: error.mistakes }, error.message);
    else logger.fatal({ err: error }, "the process cannot start");
    process.exit(1);
  }
}

/**
 * Closes a server: no new connection, unused ones closed at once, requests in flight awaited. False when some of them
 * outlast `timeoutMs`; they are cut then.
 */
export async function drainServer(
  server: { stop(closeActive?: boolean): Promise<void> },
  timeoutMs: number,
): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  const complete = await Promise.race([server.stop().then(() => true), expired]);
  clearTimeout(timer);
  if (!complete) void server.stop(true);
  return complete;
}
