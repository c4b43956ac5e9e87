import { ServingError } from "../../../proto/errors.ts";

/** A signal that aborts after a time. Disposing takes the timer back. */
export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

/** Limits one question to a server: aborts with DEADLINE_EXCEEDED after a time, or with the outer signal's reason. */
export function limitTime(outer: AbortSignal, timeoutMs: number): TimeLimit {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(outer.reason);
  const timer = setTimeout(() => {
    controller.abort(new ServingError("DEADLINE_EXCEEDED", `no answer within ${timeoutMs} ms`));
  }, timeoutMs);
  outer.addEventListener("abort", onAbort, { once: true });
  if (outer.aborted) onAbort();
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      outer.removeEventListener("abort", onAbort);
    },
  };
}
