import { ServingError } from "../../../proto/errors.ts";
import { limitTime } from "./call-ends.ts";

/** What {@link untilReady} waits with. */
export interface UntilReadyOptions<Answer> {
  readonly ask: (signal: AbortSignal) => Promise<Answer>;
  /** The service's id, for messages. */
  readonly service: string;
  readonly startTimeoutMs: number;
  /** How long one question may take. */
  readonly timeoutMs: number;
  /** Aborts when the wait is over. */
  readonly signal: AbortSignal;
  /** Told whenever what is missing changes. */
  readonly onProgress: (progress: string) => void;
}

const firstPauseMs = 50;
const longestPauseMs = 1000;

/** What does not go away by waiting: it is not a server of this kind. */
const lasting: ReadonlySet<string> = new Set(["OUTPUT_UNEXPECTED", "UNSUPPORTED_OPERATION"]);

/**
 * Asks a server again and again until it answers: a container may take minutes to load its model.
 *
 * @throws ServingError of a question that can never be answered; SERVICE_NOT_READY, with the last answer, when the signal
 * aborts first.
 */
export async function untilReady<Answer>(options: UntilReadyOptions<Answer>): Promise<Answer> {
  const { signal, onProgress } = options;
  let missing = "";
  for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    using limit = limitTime(signal, options.timeoutMs);
    try {
      return await options.ask(limit.signal);
    } catch (thrown) {
      const error = ServingError.from(thrown);
      if (signal.aborted) break;
      if (lasting.has(error.reason)) throw error;
      if (error.message !== missing) onProgress(`waiting: ${error.message}`);
      missing = error.message;
    }
    await pause(pauseMs, signal);
  }
  throw signal.reason instanceof ServingError ? signal.reason : lateError(options, missing);
}

function lateError({ service, startTimeoutMs }: UntilReadyOptions<unknown>, missing: string): ServingError {
  const because = missing === "" ? "" : `: ${missing}`;
  return new ServingError(
    "SERVICE_NOT_READY",
    `service '${service}' was not ready within ${startTimeoutMs} ms${because}`,
  );
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, delayMs);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
  });
}
