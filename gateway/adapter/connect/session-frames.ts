import { Code, ConnectError } from "@connectrpc/connect";
import { connectErrorFrom } from "../../../proto/connect-error.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest, InferStreamRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { envelopeFromParts, envelopeFromRequest } from "../../envelope/from-message.ts";
import type { SessionFrame } from "../../types.ts";
import { timelyMessage } from "../timely-message.ts";

/** A session as its first message opens it. */
export interface OpenedSession {
  readonly open: InferRequest;
  /** The opening and what follows it. They throw ServingError. */
  readonly frames: AsyncIterable<SessionFrame>;
}

/** How long a stream may say nothing before it names its service, in milliseconds: whose bounds hold is not known yet. */
const openTimeoutMs = 60_000;

/** What ends the wait for a session's first message. */
export interface OpeningBounds {
  /** The call's own. */
  readonly signal: AbortSignal;
  readonly isDraining: () => boolean;
}

/**
 * Reads a session's first message, which names its service.
 *
 * @throws ConnectError when it does not open a session, or does not come.
 */
export async function openSession(
  messages: AsyncIterable<InferStreamRequest>,
  bounds: OpeningBounds,
): Promise<OpenedSession> {
  const source = messages[Symbol.asyncIterator]();
  try {
    const { done, value } = await firstOf(source, bounds);
    if (done === true || value.message.case !== "open") {
      throw new ServingError("SCHEMA_VIOLATION", "the first message of a session must be 'open'");
    }
    const open = value.message.value;
    return { open, frames: framesFrom(open, source) };
  } catch (thrown) {
    // The port has told of the call's end by then: its error is the one that has the session's id.
    const { reason } = bounds.signal;
    throw reason instanceof ConnectError ? reason : connectErrorFrom(thrown);
  }
}

async function* framesFrom(
  open: InferRequest,
  source: AsyncIterator<InferStreamRequest>,
): AsyncGenerator<SessionFrame> {
  yield { envelope: envelopeFromRequest(open, open.service) };
  for (;;) {
    const { done, value } = await nextOf(source);
    if (done === true) return;
    if (value.message.case !== "input") {
      throw new ServingError("SCHEMA_VIOLATION", "every message of a session but the first must be 'input'");
    }
    const { sequence, parts } = value.message.value;
    yield { envelope: envelopeFromParts(parts), sequence: sequence === 0 ? undefined : sequence };
  }
}

async function nextOf(source: AsyncIterator<InferStreamRequest>): Promise<IteratorResult<InferStreamRequest>> {
  try {
    return await source.next();
  } catch (thrown) {
    throw readError(thrown);
  }
}

/** Why a message could not be read, which the stock handlers tell by their own errors. */
function readError(thrown: unknown): ServingError {
  const error = ConnectError.from(thrown);
  switch (error.code) {
    case Code.ResourceExhausted:
      return new ServingError("PAYLOAD_TOO_LARGE", "a message of the session is too large", { cause: error });
    case Code.Canceled:
    case Code.Aborted:
      return new ServingError("CANCELED", "the client hung up", { cause: error });
    case Code.DeadlineExceeded:
      return new ServingError("DEADLINE_EXCEEDED", "the session's deadline has passed", { cause: error });
    case Code.Unimplemented:
      return new ServingError("UNSUPPORTED_OPERATION", error.rawMessage.slice(0, 512), { cause: error });
    default:
      return new ServingError("MALFORMED_ENVELOPE", "a message of the session cannot be read", { cause: error });
  }
}

async function firstOf(
  source: AsyncIterator<InferStreamRequest>,
  { signal, isDraining }: OpeningBounds,
): Promise<IteratorResult<InferStreamRequest>> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(readError(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const late = `no session was opened within ${openTimeoutMs} ms`;
  try {
    const first = Promise.race([nextOf(source), aborted.promise]);
    return await timelyMessage(first, { timeoutMs: openTimeoutMs, late, isDraining });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
