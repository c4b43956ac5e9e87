import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";
import { timelyMessage } from "./timely-message.ts";

/** What bounds a stream of questions. */
export interface StreamBounds {
  /** How long its client may say nothing, in milliseconds. */
  readonly idleTimeoutMs: number;
  readonly maxMessages: number;
  /** While true, no more messages are waited for. */
  readonly isDraining: () => boolean;
}

/**
 * A stream's messages, within its bounds. Throws DEADLINE_EXCEEDED after a silence, RATE_LIMITED behind the last message, and
 * DRAINING while the gateway drains.
 */
export async function* boundedStream<Message>(
  messages: AsyncIterable<Message>,
  { maxMessages, idleTimeoutMs, isDraining }: StreamBounds,
): AsyncGenerator<Message> {
  const source = messages[Symbol.asyncIterator]();
  const bounds = { timeoutMs: idleTimeoutMs, late: `the stream was silent for ${idleTimeoutMs} ms`, isDraining };
  try {
    for (let count = 0; ; count += 1) {
      const { done, value } = await timelyMessage(source.next(), bounds);
      if (done === true) return;
      if (count === maxMessages) {
        throw new ServingError("RATE_LIMITED", `a stream may ask ${maxMessages} times`);
      }
      yield value;
    }
  } catch (thrown) {
    throw thrown instanceof ServingError ? connectErrorFrom(thrown) : thrown;
  } finally {
    // Not waited for: a message that never comes would hold it up.
    source.return?.().catch(() => {});
  }
}
