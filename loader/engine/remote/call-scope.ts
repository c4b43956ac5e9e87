import { ServingError } from "../../../proto/errors.ts";

/** The signal of one call. Disposing takes back what it holds of the signals around it. */
export interface CallScope extends Disposable {
  readonly signal: AbortSignal;
  abort(reason: ServingError): void;
}

/**
 * Joins the signals that end a call: the scope's aborts with the reason of the first that does. `AbortSignal.any` would
 * do the same, but what listens to its signal lives as long as the longest of the others.
 */
export function createCallScope(...outer: readonly AbortSignal[]): CallScope {
  const controller = new AbortController();
  const listeners = outer.map((signal) => {
    const onAbort = (): void => controller.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return () => signal.removeEventListener("abort", onAbort);
  });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      for (const remove of listeners) remove();
    },
  };
}

/** The scope of one question to a server: it aborts with DEADLINE_EXCEEDED after a time. */
export function limitTime(outer: AbortSignal, timeoutMs: number): CallScope {
  const scope = createCallScope(outer);
  const late = new ServingError("DEADLINE_EXCEEDED", `no answer within ${timeoutMs} ms`);
  const timer = setTimeout(() => scope.abort(late), timeoutMs);
  return {
    ...scope,
    [Symbol.dispose]() {
      clearTimeout(timer);
      scope[Symbol.dispose]();
    },
  };
}

/** Settles as the promise does, or rejects with the signal's reason when that aborts first. */
export function orAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(ServingError.from(signal.reason));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
