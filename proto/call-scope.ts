import type { ServingError } from "./errors.ts";

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
  const removals = outer.map((signal) => {
    const onAbort = (): void => controller.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return () => signal.removeEventListener("abort", onAbort);
  });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      for (const remove of removals) remove();
    },
  };
}
