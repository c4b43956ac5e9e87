import { ServingError } from "../../proto/errors.ts";

/** The end of a call that nobody waits for any more. */
export interface CallSignal extends Disposable {
  /** Aborts with a ServingError: CANCELED when the caller hung up, DEADLINE_EXCEEDED when the time is over. */
  readonly signal: AbortSignal;
  /** On the clock of `now`. */
  readonly deadline: number;
}

/** Joins a caller's signal with the time that the call may take. Disposing of it takes back timer and listener. */
export function createCallSignal(
  caller: AbortSignal,
  timeoutMs: number,
  service: string,
  now: () => number,
): CallSignal {
  const controller = new AbortController();
  const onHangUp = (): void => controller.abort(new ServingError("CANCELED", "the caller hung up"));
  const onTimeout = (): void =>
    controller.abort(
      new ServingError("DEADLINE_EXCEEDED", `service '${service}' did not answer within ${timeoutMs} ms`),
    );
  const timer = setTimeout(onTimeout, timeoutMs);
  if (caller.aborted) onHangUp();
  else caller.addEventListener("abort", onHangUp, { once: true });
  return {
    signal: controller.signal,
    deadline: now() + timeoutMs,
    [Symbol.dispose]() {
      clearTimeout(timer);
      caller.removeEventListener("abort", onHangUp);
    },
  };
}
