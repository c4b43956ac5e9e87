import { ServingError } from "../../proto/errors.ts";

/** What ends the wait for a client's next message. */
export interface MessageBounds {
  readonly timeoutMs: number;
  /** What is said when that is over. */
  readonly late: string;
  /** While true, no more messages are waited for. */
  readonly isDraining: () => boolean;
}

/** How soon a drain is seen, in milliseconds. */
const lookIntervalMs = 500;

/**
 * Settles as the message does, within its bounds.
 *
 * @throws ServingError DEADLINE_EXCEEDED when it does not come in time, DRAINING while the gateway drains.
 */
export async function timelyMessage<Message>(
  message: Promise<Message>,
  { timeoutMs, late, isDraining }: MessageBounds,
): Promise<Message> {
  const over = Promise.withResolvers<never>();
  const onLate = (): void => over.reject(new ServingError("DEADLINE_EXCEEDED", late));
  const look = (): void => {
    if (isDraining()) over.reject(new ServingError("DRAINING", "the gateway is shutting down"));
  };
  const timer = setTimeout(onLate, timeoutMs);
  const looking = setInterval(look, lookIntervalMs);
  try {
    return await Promise.race([message, over.promise]);
  } finally {
    clearTimeout(timer);
    clearInterval(looking);
  }
}
