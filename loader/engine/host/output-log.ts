import type { Logger } from "../../../config/logger.ts";

/** Longer lines are cut: a log line is for a person. */
const maxLineLength = 4096;
/** Lines a second that are passed on; a worker that prints more is still read, so that it never blocks. */
const maxLinesPerSecond = 200;

/**
 * Passes what a worker prints on as log lines, until it ends. Output beyond the limits is read and dropped, and the log
 * says how many lines that were.
 */
export async function logOutput(
  stream: ReadableStream<Uint8Array>,
  logger: Logger,
  level: "info" | "warn",
  now: () => number,
): Promise<void> {
  const decoder = new TextDecoder();
  const budget = createLineBudget(logger, now);
  let line = "";
  const write = (text: string): void => {
    if (text !== "" && budget.take()) logger[level]({ output: text }, "output");
  };
  try {
    for await (const chunk of stream) {
      const pieces = decoder.decode(chunk, { stream: true }).split("\n");
      const last = pieces.pop() ?? "";
      for (const piece of pieces) {
        write((line + piece).slice(0, maxLineLength).trimEnd());
        line = "";
      }
      if (line.length < maxLineLength) line += last.slice(0, maxLineLength - line.length);
    }
  } catch (error) {
    // A pipe that breaks is the worker's end, which is told elsewhere; here it must not become an unhandled rejection.
    logger.debug({ err: error }, "the worker's output broke off");
  }
  write(line.trimEnd());
  budget.report();
}

/** Lets so many lines a second through, and logs how many it did not. */
export function createLineBudget(logger: Logger, now: () => number) {
  let windowStart = now();
  let left = maxLinesPerSecond;
  let dropped = 0;
  const report = (): void => {
    if (dropped > 0) logger.warn({ dropped }, "output lines dropped: too many in one second");
    dropped = 0;
  };
  return {
    report,
    take(): boolean {
      if (now() - windowStart >= 1000) {
        report();
        windowStart = now();
        left = maxLinesPerSecond;
      }
      if (left === 0) {
        dropped += 1;
        return false;
      }
      left -= 1;
      return true;
    },
  };
}
