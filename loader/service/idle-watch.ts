import { ServingError } from "../../proto/errors.ts";

/** Ends a session in which neither side says anything. */
export interface IdleWatch extends Disposable {
  /** Aborts with SESSION_TIMEOUT when nothing was said for too long; with the outer signal's reason when that aborts. */
  readonly signal: AbortSignal;
  /** Something was said. */
  touch(): void;
  /** The same chunks; each counts as something said. */
  watch<Chunk>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk>;
}

/** Watches a session from now on. Disposing of it takes back timer and listener. */
export function createIdleWatch(outer: AbortSignal, idleTimeoutMs: number, service: string): IdleWatch {
  const controller = new AbortController();
  const onOuterAbort = (): void => controller.abort(outer.reason);
  const message = `the session of service '${service}' was silent for ${idleTimeoutMs} ms`;
  const timer = setTimeout(() => controller.abort(new ServingError("SESSION_TIMEOUT", message)), idleTimeoutMs);
  if (outer.aborted) onOuterAbort();
  else outer.addEventListener("abort", onOuterAbort, { once: true });
  const touch = (): void => void timer.refresh();
  return {
    signal: controller.signal,
    touch,
    async *watch(chunks) {
      for await (const chunk of chunks) {
        touch();
        yield chunk;
      }
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      outer.removeEventListener("abort", onOuterAbort);
    },
  };
}
