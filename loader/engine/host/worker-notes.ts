import { createByteReader } from "./byte-reader.ts";
import { type Frame, frameKind } from "./frames.ts";
import { createLineBudget } from "./output-log.ts";
import type { WorkerOptions } from "./worker-process.ts";

/**
 * Builds what takes in the meters and traces of one worker: they become log lines, as many a second as its output may have.
 * It gives false for a frame that is neither. Throws FrameError.
 */
export function createNotes({
  logger,
  now,
  onMeter = () => {},
}: Pick<WorkerOptions, "logger" | "now" | "onMeter">): (frame: Frame) => boolean {
  const budget = createLineBudget(logger, now);
  return ({ kind, body }) => {
    if (kind !== frameKind.meter && kind !== frameKind.trace) return false;
    const reader = createByteReader(body);
    const [sid, key] = [shown(reader.text()), shown(reader.text())];
    if (kind === frameKind.meter) {
      const count = reader.i32();
      onMeter(key, count);
      if (budget.take()) logger.info({ sid, key, count }, "meter");
    } else {
      const value = shown(reader.text());
      if (budget.take()) logger.info({ sid, key, value }, "trace");
    }
    return true;
  };
}

function shown(text: string): string {
  return text.length > 1024 ? `${text.slice(0, 1024)}…` : text;
}
