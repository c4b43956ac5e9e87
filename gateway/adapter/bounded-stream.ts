import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";

/** What bounds a stream of questions. */
export interface StreamBounds {
  /** How long its client may say nothing, in milliseconds. */
  readonly idleTimeoutMs: number;
  readonly maxMessages: number;
}

/** A stream's messages, within its bounds. Throws DEADLINE_EXCEEDED after a silence, RATE_LIMITED behind the last message. */
export async function* boundedStream<Message>(
  messages: AsyncIterable<Message>,
  { idleTimeoutMs, maxMessages }: StreamBounds,
): AsyncGenerator<Message> {
  const source = messages[Symbol.asyncIterator]();
  try {
    for (let count = 0; ; count += 1) {
      const { done, value } = await timely(source.next(), idleTimeoutMs);
      if (done === true) return;
      if (count === maxMessages) {
        throw connectErrorFrom(new ServingError("RATE_LIMITED", `a stream may ask ${maxMessages} times`));
      }
      yield value;
    }
  } finally {
    // Not waited for: a message that never comes would hold it up.
    source.return?.().catch(() => {});
  }
}

async function timely<Value>(value: Promise<Value>, timeoutMs: number): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const message = `the stream was silent for ${timeoutMs} ms`;
  const onLate = (): void => late.reject(connectErrorFrom(new ServingError("DEADLINE_EXCEEDED", message)));
  const timer = setTimeout(onLate, timeoutMs);
  try {
    return await Promise.race([value, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
