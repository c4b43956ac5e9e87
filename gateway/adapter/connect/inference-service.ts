import { create } from "@bufbuild/protobuf";
import type { ConnectError, ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { connectErrorFrom } from "../../../proto/connect-error.ts";
import { ServingError } from "../../../proto/errors.ts";
import {
  InferenceService,
  type InferRequest,
  type InferResponse,
  InferServerStreamResponseSchema,
  InferStreamResponseSchema,
} from "../../../proto/gen/athena/v1/inference_pb.ts";
import { announceHeader } from "../../../proto/metadata.ts";
import type { Admission } from "../../admission/admission.ts";
import type { Kind } from "../../admission/limit-store.ts";
import { envelopeFromRequest } from "../../envelope/from-message.ts";
import type { Pipeline } from "../../pipeline.ts";
import type { SessionPipeline } from "../../session-pipeline.ts";
import type { SessionFrame } from "../../types.ts";
import { callerOf } from "../caller-of.ts";
import { type Exchange, exchangeFrom } from "../http.ts";
import { callFromRpc, claimCall, cutCall, endOf } from "../rpc-call.ts";
import { protocolFrom } from "../rpc-record.ts";
import { sidHeader } from "../rpc-refusal.ts";
import { httpStatusFromError } from "../status.ts";
import { openSession } from "./session-frames.ts";

/** What the public inference service is built from. */
export interface InferenceServiceOptions {
  readonly pipeline: Pipeline<InferRequest, InferResponse>;
  readonly sessions: SessionPipeline;
  readonly admission: Admission;
  /** Told of every once-call when its answer is known. */
  readonly observe: (exchange: Exchange) => void;
  /** How long a client may read nothing while something waits for it. */
  readonly slowReaderTimeoutMs: number;
  readonly isDraining: () => boolean;
  readonly now: () => number;
}

/** Adds athena.v1's inference service to a port: once-calls take the straight line, the others that of sessions. */
export function addPublicInference(router: ConnectRouter, options: InferenceServiceOptions): void {
  router.service(InferenceService, {
    infer: (request, context) => infer(request, context, options),
    async *inferServerStream({ request }, context) {
      if (request === undefined) throw connectErrorFrom(new ServingError("SCHEMA_VIOLATION", "'request' is required"));
      const session = { open: request, frames: single(request), kind: "call", context } as const;
      for await (const response of resultsOf(session, options)) {
        if (response !== undefined) yield create(InferServerStreamResponseSchema, { response });
      }
    },
    async *inferStream(messages, context) {
      const { open, frames } = await openSession(messages, { signal: context.signal, isDraining: options.isDraining });
      const isAnnounced = context.requestHeader.has(announceHeader);
      for await (const response of resultsOf({ open, frames, kind: "session", context }, options)) {
        if (response !== undefined) yield create(InferStreamResponseSchema, { response });
        else if (isAnnounced) yield create(InferStreamResponseSchema);
      }
    },
  });
}

async function infer(
  request: InferRequest,
  context: HandlerContext,
  { pipeline, observe, now }: InferenceServiceOptions,
): Promise<InferResponse> {
  claimCall(context);
  const started = now();
  const call = callFromRpc(context, request.service, request.version);
  const outcome = await pipeline(call, () => request);
  const { sid, result } = outcome;
  const status = result instanceof ServingError ? httpStatusFromError(result) : 200;
  const seen = { protocol: protocolFrom(context.protocolName), status, durationMs: now() - started };
  observe(exchangeFrom(outcome, { ...seen, client: call.clientAddress }));
  if (result instanceof ServingError) throw failureFrom(result, sid);
  context.responseHeader.set(sidHeader, sid);
  return result;
}

interface RpcSession {
  readonly open: InferRequest;
  readonly frames: AsyncIterable<SessionFrame>;
  readonly kind: Kind;
  readonly context: HandlerContext;
}

/** A session's results as they come; undefined says that a loader has taken it. */
async function* resultsOf(
  { open, frames, kind, context }: RpcSession,
  { sessions, admission, slowReaderTimeoutMs }: InferenceServiceOptions,
): AsyncGenerator<InferResponse | undefined> {
  claimCall(context);
  const call = callFromRpc(context, open.service, open.version);
  const end = endOf(context.signal);
  const session = sessions.open<InferResponse>({
    call: { ...call, signal: end.signal },
    caller: callerOf(admission, call),
    kind,
    protocol: context.protocolName,
    frames,
    encode: (_, response) => response,
  });
  context.responseHeader.set(sidHeader, session.sid);
  const leave = (): void => {
    end.abort(new ServingError("CANCELED", "the client does not read its results"));
    // Nobody may ever ask for the next result: the session ends here and now, and not at the end of its connection.
    session.events.return().catch(() => {});
    cutCall(context);
  };
  let watch: ReturnType<typeof setTimeout> | undefined;
  try {
    for await (const event of session.events) {
      watch = setTimeout(leave, slowReaderTimeoutMs);
      yield event.type === "result" ? event.answer : undefined;
      clearTimeout(watch);
    }
  } catch (thrown) {
    throw failureFrom(thrown, session.sid);
  } finally {
    clearTimeout(watch);
  }
}

async function* single(request: InferRequest): AsyncGenerator<SessionFrame> {
  yield { envelope: envelopeFromRequest(request, request.service) };
}

function failureFrom(thrown: unknown, sid: string): ConnectError {
  const error = connectErrorFrom(thrown);
  error.metadata.set(sidHeader, sid);
  return error;
}
