import type { HashKeySource } from "../config/gateway.ts";
import { ServingError } from "../proto/errors.ts";
import type { InferResponse, InferStreamResponse } from "../proto/gen/athena/v1/inference_pb.ts";
import type { Admitted, Caller, Ticket } from "./admission/admission.ts";
import type { Kind } from "./admission/limit-store.ts";
import {
  type Chosen,
  completed,
  type DecodedRequest,
  defaultSidPrefix,
  meaningOf,
  notDescribed,
  type ServiceTarget,
} from "./pipeline.ts";
import type { Router } from "./router/router.ts";
import type { CompiledService } from "./schema/compile.ts";
import { createSessionBounds, type SessionBounds } from "./session-bounds.ts";
import { chunksFrom, withPlace } from "./session-chunks.ts";
import type { SessionDialect } from "./session-dialect.ts";
import { type SessionMeter, type SessionObserver, startMeter } from "./session-meter.ts";
import { createProgress, endFrom, eventsFrom, type Progress } from "./session-progress.ts";
import type { Call, Envelope, Place, SessionFrame } from "./types.ts";

/** The stages of the streaming line, in the order in which a session passes them. */
export interface SessionStages {
  readonly route: Router<ServiceTarget>;
  readonly newSid: (prefix: string) => string;
  /** The stages of sessions of envelopes. */
  readonly unified: SessionDialect<Envelope>;
  readonly balancingKey: (source: HashKeySource | undefined, call: Call, request: object) => string | undefined;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** How many sessions may run at once; more are refused as busy. */
  readonly maxSessions: number;
  /** While true, no session is begun. */
  readonly isDraining: () => boolean;
  readonly observer: SessionObserver;
}

/** One session as an adapter hands it over. */
export interface SessionRequest<Answer, Request = Envelope> {
  /** Its signal aborts when the caller hangs up; a ServingError as the signal's reason becomes the session's end. */
  readonly call: Call;
  /** Who calls, as admission has found out from the request's headers; what it rejects with ends the session. */
  readonly caller: Caller | Promise<Caller>;
  /** What it counts as for admission. */
  readonly kind: Kind;
  /** The request's body, once the first frame is there; without it frames are charged by their data. */
  readonly received?: () => string | Uint8Array;
  /** What the caller speaks, for the access log. */
  readonly protocol: string;
  /**
   * The opening, then the chunks. Pulled as fast as the loader takes them; their end is the end of the input, and what they
   * throw, a ServingError, ends the session. Closed at the session's end, without waiting for a frame that is awaited.
   */
  readonly frames: AsyncIterable<SessionFrame<Request>>;
  /** Frames say themselves where the input ends, so that a first one which says nothing is its begin. False unless told. */
  readonly hasPlaces?: boolean;
  /** A result as the caller's protocol has it. */
  readonly encode: (service: CompiledService, response: InferResponse, status: Place) => Answer;
}

/** What happens in a session, in this order: perhaps `opened`, then results, the last with status 2 or 3. */
export type SessionEvent<Answer> =
  | { readonly type: "opened" }
  | { readonly type: "result"; readonly status: Place; readonly answer: Answer };

/** One session. Nothing happens in it until its events are read. */
export interface Session<Answer> {
  readonly sid: string;
  /** "" for a session that reaches no service. */
  readonly service: string;
  /** The HTTP statuses that the service has of its own by error code, where it has some. */
  readonly codeMap?: ServiceTarget["codeMap"];
  /**
   * Read once. Throws the ServingError that ended the session. Results are computed only as they are read; whoever leaves
   * the loop, or aborts the call's signal while an event is awaited, cancels the session down to its engine.
   */
  readonly events: AsyncGenerator<SessionEvent<Answer>, void, undefined>;
}

/** Carries sessions down the line, for every adapter. */
export interface SessionPipeline {
  /** Never throws: what is wrong with a session is told by its events. */
  open<Answer>(request: SessionRequest<Answer>): Session<Answer>;
  /** The same for a protocol with frames of its own. */
  openIn<Answer, Request extends DecodedRequest>(
    dialect: SessionDialect<Request>,
    request: SessionRequest<Answer, Request>,
  ): Session<Answer>;
  /** The id of the service that a call's path means. Throws SERVICE_NOT_FOUND. */
  find(call: Pick<Call, "path" | "host" | "serviceId">): string;
  /** The definition of the service that a call means; undefined for a category, and until a loader has told it. Throws SERVICE_NOT_FOUND. */
  describe(call: Pick<Call, "path" | "host" | "serviceId" | "version">): CompiledService | undefined;
  /** How many sessions run now, by service. */
  active(): ReadonlyMap<string, number>;
  /** Ends every session that runs with this error. */
  abortAll(error: ServingError): void;
}

/** Where a session leads: known from the call alone. */
interface Lead {
  readonly sid: string;
  readonly service: string;
  readonly target: ServiceTarget | undefined;
  readonly compiled: CompiledService | undefined;
  readonly refusal: ServingError | undefined;
}

/** Joins the stages into the streaming line. */
export function createSessionPipeline(stages: SessionStages): SessionPipeline {
  const running = new Set<{ readonly service: string; readonly bounds: SessionBounds }>();

  async function* run<Answer, Request extends DecodedRequest>(
    dialect: SessionDialect<Request>,
    request: SessionRequest<Answer, Request>,
    lead: Lead,
  ): Session<Answer>["events"] {
    const { call, protocol, frames, encode, hasPlaces = false } = request;
    const { sid, service } = lead;
    const meter = startMeter({ sid, service, protocol, client: call.clientAddress }, stages.observer, stages.now);
    const source = frames[Symbol.asyncIterator]();
    using bounds = boundsFor(stages, call, lead);
    const entry = { service, bounds };
    let progress: Progress<Answer> | undefined;
    let ticket: Ticket | undefined;
    try {
      const caller = await request.caller;
      meter.app(caller.app);
      const called = assertServable(lead, stages, running.size);
      running.add(entry);
      ticket = await caller.admit({ service, kind: request.kind });
      const opening = await firstFrame(source, bounds.signal);
      meter.noteIn();
      const { admitted, first } = await acceptFirst(dialect, ticket, opening, request.received);
      const meant = meantBy(dialect, called, first);
      progress = createProgress((response, status) => {
        bounds.touch();
        meter.noteOut();
        return encode(meant.compiled, response, status);
      });
      const begun = { call, source, ...meant, admitted, hasPlaces, sid, bounds, meter };
      yield* eventsFrom(dispatch(stages, dialect, begun), progress, sid);
    } catch (thrown) {
      const error = endFrom(thrown, bounds.signal, progress);
      meter.result(error);
      if (error !== undefined) throw error;
    } finally {
      running.delete(entry);
      ticket?.[Symbol.dispose]();
      source.return?.().catch(() => {});
      if (progress?.isComplete) meter.result(undefined);
      else if (bounds.signal.aborted) meter.result(ServingError.from(bounds.signal.reason));
      meter.end();
    }
  }

  const openIn: SessionPipeline["openIn"] = (dialect, request) => {
    const lead = leadOf(stages, request.call);
    return { sid: lead.sid, service: lead.service, codeMap: lead.target?.codeMap, events: run(dialect, request, lead) };
  };
  return {
    open: (request) => openIn(stages.unified, request),
    openIn,
    find: (call) => stages.route(call).id,
    describe: (call) => stages.route(call).compiled(call.version),
    active() {
      const counts = new Map<string, number>();
      for (const { service } of running) counts.set(service, (counts.get(service) ?? 0) + 1);
      return counts;
    },
    abortAll(error) {
      for (const { bounds } of running) bounds.abort(error);
    },
  };
}

function leadOf(stages: SessionStages, call: Call): Lead {
  try {
    const target = stages.route(call);
    const compiled = target.compiled(call.version);
    const sid = stages.newSid(compiled?.sidPrefix ?? defaultSidPrefix);
    // A category has no definition of its own.
    const isMissing = compiled === undefined && target.choose === undefined;
    const refusal = isMissing ? notDescribed(target, call.version) : undefined;
    return { sid, service: target.id, target, compiled, refusal };
  } catch (thrown) {
    const sid = stages.newSid(defaultSidPrefix);
    return { sid, service: "", target: undefined, compiled: undefined, refusal: ServingError.from(thrown) };
  }
}

/** What was called, and its definition, which a category has not. */
interface Called {
  readonly target: ServiceTarget;
  readonly compiled: CompiledService | undefined;
}

/** Throws for a session that cannot begin. */
function assertServable(lead: Lead, { isDraining, maxSessions }: SessionStages, running: number): Called {
  const { target, compiled } = lead;
  if (lead.refusal !== undefined) throw lead.refusal;
  if (isDraining()) throw new ServingError("DRAINING", `service '${lead.service}': the gateway is shutting down`);
  if (running >= maxSessions) {
    throw new ServingError("SERVICE_BUSY", `the gateway is busy: it has ${running} sessions, as many as it may`);
  }
  if (target === undefined || (compiled === undefined && target.choose === undefined)) throw notReady(lead.service);
  return { target, compiled };
}

function notReady(service: string): ServingError {
  return new ServingError("SERVICE_NOT_READY", `service '${service}' is not ready: no loader has described it yet`);
}

/** The service that a session is for, and its opening as that service knows it. */
interface Meant<Request> {
  readonly target: ServiceTarget;
  readonly compiled: CompiledService;
  readonly first: SessionFrame<Request>;
  readonly headers?: Chosen<Request>["headers"];
}

/** A category chooses by the opening alone. */
function meantBy<Request extends DecodedRequest>(
  dialect: SessionDialect<Request>,
  called: Called,
  first: SessionFrame<Request>,
): Meant<Request> {
  const { target, request, headers } = meaningOf(called.target, dialect, first.envelope);
  const compiled = target === called.target ? called.compiled : target.compiled();
  if (compiled === undefined) throw notDescribed(target);
  return { target, compiled, first: { ...first, envelope: request }, headers };
}

function boundsFor({ now }: SessionStages, { signal }: Call, { service, target }: Lead): SessionBounds {
  const { idleTimeoutMs, totalTimeoutMs } = target?.session ?? unserved;
  return createSessionBounds({ service, caller: signal, idleTimeoutMs, totalTimeoutMs, now });
}

/** For a session that is refused before it waits for anything. */
const unserved = { idleTimeoutMs: 60_000, totalTimeoutMs: 60_000 };

async function firstFrame<Frame>(source: AsyncIterator<Frame>, signal: AbortSignal): Promise<Frame> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const { done, value } = await Promise.race([source.next(), aborted.promise]);
    if (done === true) throw new ServingError("SCHEMA_VIOLATION", "the session ended before its first frame");
    return value;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The first frame with its caller's app in it, once that is charged for it. */
async function acceptFirst<Request extends DecodedRequest>(
  { bytes }: SessionDialect<Request>,
  ticket: Ticket,
  opening: SessionFrame<Request>,
  received: SessionRequest<unknown>["received"],
): Promise<{ readonly admitted: Admitted; readonly first: SessionFrame<Request> }> {
  const { envelope } = opening;
  const admitted = await ticket.accept(received?.() ?? "");
  if (received === undefined) await admitted.spend(bytes(envelope));
  return { admitted, first: { ...opening, envelope: { ...envelope, header: admitted.nameApp(envelope.header) } } };
}

interface Dispatched<Request> extends Meant<Request> {
  readonly admitted: Admitted;
  readonly call: Call;
  readonly source: AsyncIterator<SessionFrame<Request>>;
  readonly hasPlaces: boolean;
  readonly sid: string;
  readonly bounds: SessionBounds;
  readonly meter: SessionMeter;
}

/** The session's messages: those of a session at a loader, or the one answer of a once-call. */
function dispatch<Request extends DecodedRequest>(
  stages: SessionStages,
  dialect: SessionDialect<Request>,
  session: Dispatched<Request>,
): AsyncIterable<Pick<InferStreamResponse, "response">> {
  const { call, source, target, compiled, admitted, first, hasPlaces, sid, bounds, meter } = session;
  const key = stages.balancingKey(target.hashKey, call, first.envelope);
  const timeoutMs = dialect.timeoutMs?.(first.envelope);
  const opens = stages.now() + Math.min(target.timeoutMs, timeoutMs ?? Infinity);
  const { signal } = bounds;
  if (isOnce(compiled, first.place)) {
    bounds.endInput();
    const request = completed(dialect.validate(compiled, first.envelope, sid), call, session, admitted);
    return onceAnswer(target.dispatch(request, { admitted, key, deadline: opens, signal }));
  }
  const request = completed(dialect.validateOpening(compiled, first.envelope, sid), call, session, admitted);
  const place = first.place ?? (hasPlaces ? 0 : undefined);
  withPlace(request.parts, place);
  const chunks = chunksFrom(
    source,
    { opening: request.parts, place },
    {
      validate: (envelope) => dialect.validateChunk(compiled, envelope),
      admit: (parts) => admitted.spend(bytesOf(parts)),
      onFrame() {
        bounds.touch();
        meter.noteIn();
      },
      onEnd: () => bounds.endInput(),
    },
  );
  if (timeoutMs !== undefined) bounds.limit(timeoutMs);
  const openDeadline = Math.min(opens, bounds.deadline);
  const deadline = bounds.deadline + graceMs;
  return target.dispatchSession(request, chunks, { admitted, key, deadline, openDeadline, signal });
}

function bytesOf(parts: readonly { readonly data: Uint8Array }[]): number {
  return parts.reduce((sum, { data }) => sum + data.length, 0);
}

/** The bounds end a session, with their own words; what is behind them ends it later, should it not hear of that. */
const graceMs = 1000;

async function* onceAnswer(answer: Promise<InferResponse>): AsyncGenerator<{ response: InferResponse }> {
  yield { response: await answer };
}

/**
 * A frame that is all of its session is a once-call where the service answers such. It may answer nothing else: then its
 * first frame is that whether it says so, ends the input, or says nothing.
 */
function isOnce({ id, definition: { once, stream } }: CompiledService, place: Place | undefined): boolean {
  if (!once) return false;
  if (place === 3) return true;
  if (stream) return false;
  if (place === undefined || place === 2) return true;
  throw new ServingError("SCHEMA_VIOLATION", `'$.header.status' must be 3: service '${id}' answers once-calls only`);
}
