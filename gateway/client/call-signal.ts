/** One call's end: the caller's hang-up or the call's own deadline, whichever comes first. */
export interface CallSignal extends Disposable {
  readonly signal: AbortSignal;
  /** Whether the deadline came first. */
  readonly timedOut: boolean;
  /** From now on only the caller ends the call. */
  liftDeadline(): void;
}

/** The longest delay that a timer takes, in milliseconds. */
const maxDelayMs = 2 ** 31 - 1;

/**
 * Joins a caller's signal with a deadline. Disposing of it takes back the timer and the listener: `AbortSignal.any` and
 * `AbortSignal.timeout` would keep one of each for every call until the deadline, long after most calls have ended.
 */
export function createCallSignal(caller: AbortSignal, timeoutMs: number): CallSignal {
  const controller = new AbortController();
  let timedOut = false;
  const abort = (): void => controller.abort();
  const timer = setTimeout(
    () => {
      timedOut = true;
      abort();
    },
    Math.min(timeoutMs, maxDelayMs),
  );
  caller.addEventListener("abort", abort, { once: true });
  if (caller.aborted) abort();
  return {
    signal: controller.signal,
    get timedOut() {
      return timedOut;
    },
    liftDeadline: () => clearTimeout(timer),
    [Symbol.dispose]() {
      clearTimeout(timer);
      caller.removeEventListener("abort", abort);
    },
  };
}
