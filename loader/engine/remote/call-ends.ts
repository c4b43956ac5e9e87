import { ServingError } from "../../../proto/errors.ts";
import { type LimitedSignal, limitSignals } from "../limited-signal.ts";

/** The signal of one question to a server: it aborts with the outer one, or with DEADLINE_EXCEEDED after a time. */
export function limitTime(outer: AbortSignal, timeoutMs: number): LimitedSignal {
  return limitSignals([outer], timeoutMs, () => {
    return new ServingError("DEADLINE_EXCEEDED", `no answer within ${timeoutMs} ms`);
  });
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
