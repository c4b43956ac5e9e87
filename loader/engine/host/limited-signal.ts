import type { ServingError } from "../../../proto/errors.ts";

/** A signal that does not last for ever. Disposing of it takes back its timer. */
export interface LimitedSignal extends Disposable {
  readonly signal: AbortSignal;
}

/** Aborts with the first of the signals, or with what `late` gives when the time is over. */
export function limitSignals(
  signals: readonly AbortSignal[],
  timeoutMs: number,
  late: () => ServingError,
): LimitedSignal {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late()), timeoutMs);
  return {
    signal: AbortSignal.any([...signals, controller.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
