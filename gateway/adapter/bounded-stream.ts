import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";

/** What bounds a stream of questions. */
export interface StreamBounds {
  /** How long its client may say nothing, in milliseconds. */
  readonly idleTimeoutMs: number;
  readonly maxMessages: number;
  /** While true, no more messages are waited for. */
  readonly isDraining: () => boolean;
}

/** How soon a drain is seen, in milliseconds. */
const lookIntervalMs = 500;

/**
 * A stream's messages, within its bounds. Throws DEADLINE_EXCEEDED after a silence, RATE_LIMITED behind the last message, and
 * DRAINING while the gateway drains.
 */
export async function* boundedStream<Message>(
  messages: AsyncIterable<Message>,
  { maxMessages, ...silence }: StreamBounds,
): AsyncGenerator<Message> {
  const source = messages[Symbol.asyncIterator]();
  try {
    for (let count = 0; ; count += 1) {
      const { done, value } = await timely(source.next(), silence);
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

async function timely<Value>(
  value: Promise<Value>,
  { idleTimeoutMs, isDraining }: Omit<StreamBounds, "maxMessages">,
): Promise<Value> {
  const over = Promise.withResolvers<never>();
  const end = (error: ServingError): void => over.reject(connectErrorFrom(error));
  const onLate = (): void =>
    end(new ServingError("DEADLINE_EXCEEDED", `the stream was silent for ${idleTimeoutMs} ms`));
  const look = (): void => {
    if (isDraining()) end(new ServingError("DRAINING", "the gateway is shutting down"));
  };
  const timer = setTimeout(onLate, idleTimeoutMs);
  const looking = setInterval(look, lookIntervalMs);
  try {
    return await Promise.race([value, over.promise]);
  } finally {
    clearTimeout(timer);
    clearInterval(looking);
  }
}
