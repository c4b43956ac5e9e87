/** A signal that aborts with another one. */
export interface JoinedSignal extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * Joins two signals: aborts with the reason of the first that does. Disposing of it takes back its listeners: what
 * `AbortSignal.any` gives would live as long as the longer of the two.
 */
export function joinSignals(...signals: readonly [AbortSignal, AbortSignal]): JoinedSignal {
  const controller = new AbortController();
  const removals = signals.map((signal) => {
    const onAbort = (): void => controller.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return () => signal.removeEventListener("abort", onAbort);
  });
  return {
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const remove of removals) remove();
    },
  };
}
