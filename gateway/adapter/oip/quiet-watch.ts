import { ServingError } from "../../../proto/errors.ts";

/** What {@link watchQuiet} is told. */
export interface QuietOptions {
  /** Whether something is under way. */
  readonly isBusy: () => boolean;
  /** How long nothing may be, in milliseconds. */
  readonly idleTimeoutMs: number;
  readonly isDraining: () => boolean;
  readonly now: () => number;
  /** Ends the stream. */
  readonly end: (error: ServingError) => void;
}

/** Watches a stream until it is disposed of. */
export interface QuietWatch extends Disposable {
  /** Something has begun. */
  touch(): void;
}

/** How soon a drain is seen, in milliseconds. */
const lookIntervalMs = 500;

/** Ends a stream on which nothing is under way, after a time of silence, or at once while the gateway drains. */
export function watchQuiet({ isBusy, idleTimeoutMs, isDraining, now, end }: QuietOptions): QuietWatch {
  let busyAt = now();
  const look = (): void => {
    if (isBusy()) busyAt = now();
    else if (isDraining()) end(new ServingError("DRAINING", "the gateway is shutting down"));
    else if (now() - busyAt >= idleTimeoutMs) {
      end(new ServingError("DEADLINE_EXCEEDED", `the stream was silent for ${idleTimeoutMs} ms`));
    }
  };
  const timer = setInterval(look, Math.min(lookIntervalMs, idleTimeoutMs));
  return {
    touch() {
      busyAt = now();
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
