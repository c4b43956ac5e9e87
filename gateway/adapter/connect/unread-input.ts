import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { ReceivedCall } from "../serve-call.ts";

/** How long the end of an answer waits for the rest of its call's input, in milliseconds, and how much of that it reads. */
const restTimeoutMs = 1000;
const maxRestBytes = 4_194_304;

type Input = AsyncIterator<Uint8Array>;

/**
 * Serves a call whose connection is closed behind its answer. With input that nobody has read the connection would be reset, and
 * a client that still writes would see that in place of its answer: so the answer ends when the input has, within bounds.
 */
export async function serveToInputEnd(
  call: ReceivedCall,
  serve: (call: ReceivedCall) => Promise<UniversalServerResponse>,
): Promise<UniversalServerResponse> {
  const { body } = call;
  if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return serve(call);
  const input: Input = body[Symbol.asyncIterator]();
  const answer = await serve({ ...call, body: messagesOf(input) });
  return answer.body === undefined ? answer : { ...answer, body: withRest(answer.body, input) };
}

/** Not `for await`, which would cancel the input where its reader leaves it. */
async function* messagesOf(input: Input): AsyncGenerator<Uint8Array> {
  for (let next = await input.next(); next.done !== true; next = await input.next()) yield next.value;
}

async function* withRest(answer: AsyncIterable<Uint8Array>, input: Input): AsyncGenerator<Uint8Array> {
  try {
    yield* answer;
    await discard(input);
  } finally {
    // As the stock handlers cancel a request's body; nobody waits for it, or is told.
    input.throw?.().catch(() => {});
  }
}

/** Reads what is left, until it ends, is too much, takes too long or breaks. */
async function discard(input: Input): Promise<void> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(late.resolve, restTimeoutMs, undefined);
  try {
    for (let left = maxRestBytes; left > 0; ) {
      const next = await Promise.race([input.next(), late.promise]);
      if (next === undefined || next.done === true) return;
      left -= next.value.length;
    }
  } catch {
    // The client is gone, and has its answer or never will.
  } finally {
    clearTimeout(timer);
  }
}
