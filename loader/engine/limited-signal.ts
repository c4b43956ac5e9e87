import { createCallScope } from "../../proto/call-scope.ts";
import type { ServingError } from "../../proto/errors.ts";

/** A signal that does not last for ever. Disposing of it takes back its timer and its listeners. */
export interface LimitedSignal extends Disposable {
  readonly signal: AbortSignal;
}

/** Aborts with the first of the signals, or with what `late` gives when the time is over. */
export function limitSignals(
  signals: readonly AbortSignal[],
  timeoutMs: number,
  late: () => ServingError,
): LimitedSignal {
  const scope = createCallScope(...signals);
  const timer = setTimeout(() => scope.abort(late()), timeoutMs);
  return {
    signal: scope.signal,
    [Symbol.dispose]() {
      clearTimeout(timer);
      scope[Symbol.dispose]();
    },
  };
}
