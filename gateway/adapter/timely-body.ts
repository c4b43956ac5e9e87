import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";

/** How long the one message of a call may take to arrive, in milliseconds. */
const messageTimeoutMs = 60_000;

/** A call's input: bounded in time where it is one message, also by the call's end. Sessions have bounds of their own. */
export function inputOf(
  { method }: { readonly method: DescMethod },
  body: UniversalServerRequest["body"],
  over: AbortSignal,
): UniversalServerRequest["body"] {
  const isOne = method.methodKind === "unary" || method.methodKind === "server_streaming";
  return isOne && isBytes(body) ? timelyBody(body, messageTimeoutMs, over) : body;
}

function isBytes(body: UniversalServerRequest["body"]): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

/**
 * A body that has to be complete in time: one that trickles in would hold its memory for as long as its client likes. Throws
 * ConnectError DeadlineExceeded when it is not, and the reason of `over` when that aborts first.
 */
export async function* timelyBody(
  body: AsyncIterable<Uint8Array>,
  timeoutMs: number,
  over: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const late = Promise.withResolvers<never>();
  // It may come while nobody waits for a chunk.
  late.promise.catch(() => {});
  const message = `the request was not complete within ${timeoutMs} ms`;
  const timer = setTimeout(() => late.reject(new ConnectError(message, Code.DeadlineExceeded)), timeoutMs);
  const onOver = (): void => late.reject(over.reason);
  if (over.aborted) onOver();
  else over.addEventListener("abort", onOver, { once: true });
  const source = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await Promise.race([source.next(), late.promise]);
      if (done === true) return;
      yield value;
    }
  } finally {
    clearTimeout(timer);
    over.removeEventListener("abort", onOver);
    // Not waited for: a chunk that never comes would hold it up.
    source.return?.().catch(() => {});
  }
}
