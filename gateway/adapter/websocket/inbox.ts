import type { Envelope, SessionFrame } from "../../types.ts";

/** Bytes that may be held, shared by all who take from it. */
export interface ByteBudget {
  /** Takes some; false when there are not as many left. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** Builds a budget of this many bytes. */
export function createByteBudget(total: number): ByteBudget {
  let left = total;
  return {
    take(bytes) {
      if (bytes > left) return false;
      left -= bytes;
      return true;
    },
    give(bytes) {
      left += bytes;
    },
  };
}

/** Frames of one session that came and were not read yet: a socket cannot be asked to wait. */
export interface Inbox<Request = Envelope> extends AsyncIterable<SessionFrame<Request>> {
  /** Adds a frame of this size; false when it does not fit, and then it is not added. */
  push(frame: SessionFrame<Request>, bytes: number): boolean;
  /** No more frames come. */
  end(): void;
}

/** How much an inbox holds. */
export interface InboxLimits {
  /** One frame is taken whatever its size, others only within these bytes. */
  readonly maxBytes: number;
  readonly budget: ByteBudget;
}

/** So that small frames are bounded by what holding them costs, too. */
const maxFrames = 4096;

/** Builds an empty inbox for one reader; what it holds is dropped when the reader leaves. */
export function createInbox<Request = Envelope>({ maxBytes, budget }: InboxLimits): Inbox<Request> {
  const waiting: { readonly frame: SessionFrame<Request>; readonly bytes: number }[] = [];
  const done = { done: true, value: undefined } as const;
  let held = 0;
  let isEnded = false;
  let reader: ((result: IteratorResult<SessionFrame<Request>>) => void) | undefined;

  const answer = (result: IteratorResult<SessionFrame<Request>>): void => {
    const resolve = reader;
    reader = undefined;
    resolve?.(result);
  };
  const release = (bytes: number): void => {
    held -= bytes;
    budget.give(bytes);
  };
  const iterator: AsyncIterator<SessionFrame<Request>> = {
    next() {
      const next = waiting.shift();
      if (next !== undefined) {
        release(next.bytes);
        return Promise.resolve({ done: false, value: next.frame });
      }
      if (isEnded) return Promise.resolve(done);
      return new Promise((resolve) => {
        reader = resolve;
      });
    },
    async return() {
      isEnded = true;
      release(held);
      waiting.length = 0;
      answer(done);
      return done;
    },
  };
  return {
    push(frame, bytes) {
      if (isEnded) return true;
      if (reader !== undefined) {
        answer({ done: false, value: frame });
        return true;
      }
      if (waiting.length > 0 && (held + bytes > maxBytes || waiting.length >= maxFrames)) return false;
      if (!budget.take(bytes)) return false;
      held += bytes;
      waiting.push({ frame, bytes });
      return true;
    },
    end() {
      isEnded = true;
      if (waiting.length === 0) answer(done);
    },
    [Symbol.asyncIterator]: () => iterator,
  };
}
