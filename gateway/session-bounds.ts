import { ServingError } from "../proto/errors.ts";

/** What ends a session that does not end by itself. */
export interface SessionBounds extends Disposable {
  /** Aborts with a ServingError as its reason. */
  readonly signal: AbortSignal;
  /** On the clock that the bounds were built with. */
  readonly deadline: number;
  /** Something was said, by either side. */
  touch(): void;
  /** The caller has said all that it will: from now on silence is the engine at work. */
  endInput(): void;
  /** Its caller waits no longer than this, from now on. */
  limit(timeoutMs: number): void;
  /** Ends the session with this. */
  abort(reason: ServingError): void;
}

/** What {@link createSessionBounds} is told. */
export interface SessionBoundsOptions {
  /** For messages. */
  readonly service: string;
  /** Aborts when the caller hangs up; a ServingError as its reason says more. */
  readonly caller: AbortSignal;
  /** How long neither side may say anything while the caller has input to give. */
  readonly idleTimeoutMs: number;
  readonly totalTimeoutMs: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

/** Bounds a session from now on. Disposing of it takes back timers and listeners. */
export function createSessionBounds(options: SessionBoundsOptions): SessionBounds {
  const { service, caller, idleTimeoutMs, totalTimeoutMs, now } = options;
  const controller = new AbortController();
  let lastSaid = now();
  const abort = (reason: ServingError): void => controller.abort(reason);
  const onHangUp = (): void => abort(hangUpError(caller.reason));
  const timeOut = (message: string): void =>
    abort(new ServingError("SESSION_TIMEOUT", `session timeout: the session of service '${service}' ${message}`));
  const onTotal = (): void => timeOut(`has lasted ${totalTimeoutMs} ms`);
  const onIdle = (): void => {
    const leftMs = lastSaid + idleTimeoutMs - now();
    // One timer that looks again costs less than one that is set anew with every frame.
    if (leftMs > 0) idle = setTimeout(onIdle, Math.ceil(leftMs));
    else timeOut(`was silent for ${idleTimeoutMs} ms`);
  };
  const total = setTimeout(onTotal, totalTimeoutMs);
  let idle = setTimeout(onIdle, idleTimeoutMs);
  let limit: ReturnType<typeof setTimeout> | undefined;
  if (caller.aborted) onHangUp();
  else caller.addEventListener("abort", onHangUp, { once: true });
  return {
    signal: controller.signal,
    deadline: now() + totalTimeoutMs,
    touch() {
      lastSaid = now();
    },
    endInput: () => clearTimeout(idle),
    limit(timeoutMs) {
      const onLimit = (): void => abort(lateError(service, timeoutMs));
      limit = setTimeout(onLimit, Math.min(timeoutMs, totalTimeoutMs));
    },
    abort,
    [Symbol.dispose]() {
      clearTimeout(total);
      clearTimeout(limit);
      clearTimeout(idle);
      caller.removeEventListener("abort", onHangUp);
    },
  };
}

function lateError(service: string, timeoutMs: number): ServingError {
  return new ServingError("DEADLINE_EXCEEDED", `service '${service}' did not answer within ${timeoutMs} ms`);
}

function hangUpError(reason: unknown): ServingError {
  return reason instanceof ServingError ? reason : new ServingError("CANCELED", "the caller hung up");
}
