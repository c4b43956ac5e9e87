import type { HandlerContext } from "@connectrpc/connect";
import { connectErrorFrom } from "../../../proto/connect-error.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { ModelInferRequest, ModelStreamInferResponse } from "../../../proto/gen/inference/grpc_service_pb.ts";
import { callFromRpc, claimCall, cutCall, endOf } from "../rpc-call.ts";
import type { InboxLimits } from "../websocket/inbox.ts";
import { type Asker, type AskerOptions, createAsker } from "./grpc-asker.ts";
import { sequencePlaceFrom } from "./grpc-request.ts";
import { createMerge, type Merge } from "./merge.ts";
import { createPlaces, createTurns } from "./places.ts";
import { type QuietWatch, watchQuiet } from "./quiet-watch.ts";
import { createSequences, type Sequences } from "./sequences.ts";

/** What {@link createStreamInfer} works with. */
export interface StreamInferOptions extends AskerOptions {
  /** How many requests of one stream are under way, and how many sequences. */
  readonly maxPerConnection: number;
  /** What of a sequence may wait for its service. */
  readonly waiting: InboxLimits;
  /** How long a client may read nothing while something waits for it. */
  readonly slowReaderTimeoutMs: number;
  /** How long a stream may stay open while nothing is under way on it. */
  readonly connectionIdleTimeoutMs: number;
  /** While true, a stream ends as soon as nothing is under way on it. */
  readonly isDraining: () => boolean;
  readonly now: () => number;
}

/** Answers the requests of one stream. */
export type StreamInfer = (
  requests: AsyncIterable<ModelInferRequest>,
  context: HandlerContext,
) => AsyncGenerator<ModelStreamInferResponse>;

/** With this header a stream ends with the first error's own code, which otherwise stands in its answer. */
const ownCodeHeader = "triton_grpc_error";

/**
 * Builds ModelStreamInfer. Requests of a stream are under way at once, and each is answered when its service answers, as
 * often as that does; those without an id wait for one another, since only their order tells them apart. When as many are
 * under way as may be, no more are read. A stream on which nothing is under way ends in time, and at the drain.
 */
export function createStreamInfer(options: StreamInferOptions): StreamInfer {
  const { slowReaderTimeoutMs, connectionIdleTimeoutMs: idleTimeoutMs, isDraining, now } = options;
  return async function* answer(requests, context) {
    claimCall(context);
    const end = endOf(context.signal);
    const endsAtError = context.requestHeader.get(ownCodeHeader) === "true";
    const asker = createAsker(options, { callTo: callsOf(context, end.signal), endsAtError });
    const merge = createMerge<ModelStreamInferResponse>();
    const leave = (): void => {
      end.abort(new ServingError("CANCELED", "the client does not read its results"));
      merge.leave();
      cutCall(context);
    };
    const isBusy = (): boolean => merge.isBusy;
    using quiet = watchQuiet({ isBusy, idleTimeoutMs, isDraining, now, end: end.abort });
    // Also where its client says nothing more, or never asks for what comes next: nothing else would end it.
    const onEnd = (): void => {
      quiet[Symbol.dispose]();
      merge.close(connectErrorFrom(end.signal.reason));
    };
    end.signal.addEventListener("abort", onEnd, { once: true });
    const source = requests[Symbol.asyncIterator]();
    void readAll(source, { asker, merge, quiet, signal: end.signal }, options);
    let watch: ReturnType<typeof setTimeout> | undefined;
    try {
      for await (const response of merge.values()) {
        watch = setTimeout(leave, slowReaderTimeoutMs);
        yield response;
        clearTimeout(watch);
      }
    } finally {
      clearTimeout(watch);
      end.abort(new ServingError("CANCELED", "the stream has ended"));
      // Not waited for: a client that says nothing would hold it up.
      source.return?.().catch(() => {});
    }
  };
}

/** The calls of a stream have one signal, and what is left of the stream's time. */
function callsOf(context: HandlerContext, signal: AbortSignal) {
  const { timeoutMs: _, ...stream } = callFromRpc(context, "", "");
  return (serviceId: string, version: string) => {
    const timeoutMs = context.timeoutMs();
    return { ...stream, ...(timeoutMs === undefined ? {} : { timeoutMs }), signal, serviceId, version };
  };
}

interface Reading {
  readonly asker: Asker;
  readonly merge: Merge<ModelStreamInferResponse>;
  readonly quiet: QuietWatch;
  /** Aborts when the stream ends. */
  readonly signal: AbortSignal;
}

/** Reads a stream's requests and has them answered. Never rejects. */
async function readAll(
  source: AsyncIterator<ModelInferRequest>,
  reading: Reading,
  { maxPerConnection, waiting }: StreamInferOptions,
): Promise<void> {
  const { asker, merge, quiet, signal } = reading;
  const sequences = createSequences({ maxSequences: maxPerConnection, limits: waiting, run: asker.runSequence });
  const places = createPlaces(maxPerConnection);
  const inTurn = createTurns();
  try {
    for (;;) {
      const { done, value: request } = await source.next();
      if (done === true || signal.aborted) break;
      quiet.touch();
      const refusal = takeInSequence(request, reading, sequences);
      if (refusal === "taken") continue;
      const place = await places.take();
      if (signal.aborted) break;
      if (refusal !== undefined) merge.add(holding(place, asker.refuse(request, refusal)));
      else if (request.id === "") merge.add(holding(place, inTurn(asker.ask(request))));
      else merge.add(holding(place, asker.ask(request)));
    }
    sequences.abortOpen(new ServingError("CANCELED", "the stream ended before the sequence"));
    merge.close();
  } catch (thrown) {
    merge.close(thrown);
  }
}

/** Hands a request to its sequence; gives why there is none, or undefined for a request that is in none. */
function takeInSequence(
  request: ModelInferRequest,
  { asker, merge }: Reading,
  sequences: Sequences,
): "taken" | ServingError | undefined {
  try {
    const place = sequencePlaceFrom(request);
    if (place === undefined) return undefined;
    asker.assertHasSequences(request);
    const begun = sequences.take(request, place);
    if (begun !== undefined) merge.add(begun);
    return "taken";
  } catch (thrown) {
    return ServingError.from(thrown);
  }
}

async function* holding<Value>(place: Disposable, source: AsyncGenerator<Value>): AsyncGenerator<Value> {
  using _ = place;
  yield* source;
}
