import type { HashKeySource } from "../config/gateway.ts";
import { ServingError } from "../proto/errors.ts";
import type {
  InferRequest,
  InferResponse,
  InferStreamResponse,
  StreamInput,
} from "../proto/gen/athena/v1/inference_pb.ts";
import type { Admission, Admitted, Ticket } from "./admission/admission.ts";
import type { InFlight } from "./admission/in-flight.ts";
import type { Router } from "./router/router.ts";
import type { CompiledService } from "./schema/compile.ts";
import type { Call, Envelope } from "./types.ts";

/** One service as the pipeline sees it. */
export interface ServiceTarget {
  readonly id: string;
  /** Empty: the version that each loader serves by default, so that loaders may be upgraded one by one. */
  readonly version: string;
  /** The most milliseconds that a request may take, other endpoints included. */
  readonly timeoutMs: number;
  /** What ends a session that does not end by itself, in milliseconds. */
  readonly session: { readonly idleTimeoutMs: number; readonly totalTimeoutMs: number };
  readonly hashKey: HashKeySource | undefined;
  /** HTTP statuses by error code, for the codes that it answers with another status than usual. */
  readonly codeMap: ReadonlyMap<number, number> | undefined;
  /**
   * The service's definition, compiled; undefined until a loader has told it. With a version, that of this version, if the
   * service may be called in it.
   */
  compiled(version?: string): CompiledService | undefined;
  /**
   * Set for a category, which answers nothing itself: the service that a request's values mean. Throws ServingError
   * CATEGORY_UNMATCHED, or SERVICE_NOT_FOUND where a rule leads to a service that is not there.
   */
  readonly choose?: (envelope: Envelope) => Chosen<Envelope>;
  /** Calls an endpoint of the service, perhaps several in turn. Throws ServingError. */
  dispatch(request: InferRequest, options: DispatchCall): Promise<InferResponse>;
  /** Runs a session on an endpoint of the service; its first message, without a response, says that one has taken it. */
  dispatchSession(
    request: InferRequest,
    inputs: AsyncIterable<StreamInput>,
    options: DispatchSessionCall,
  ): AsyncIterable<InferStreamResponse>;
}

/** The service that a request means. */
export interface Chosen<Request> {
  readonly target: ServiceTarget;
  /** The request as that service knows it. */
  readonly request: Request;
  /** What the engine is told beside the caller's headers; undefined: nothing. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** What a call is bounded by on its way to a loader. */
export interface DispatchCall {
  readonly admitted: Admitted;
  readonly key: string | undefined;
  /** On the clock of {@link SharedStages.now}. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** What a session is bounded by on its way to a loader: `deadline` is that of the whole session. */
export interface DispatchSessionCall extends DispatchCall {
  /** By then a loader must have taken it. */
  readonly openDeadline: number;
}

/** The stages that every protocol shares. */
export interface SharedStages {
  readonly inFlight: InFlight;
  readonly admission: Admission;
  readonly route: Router<ServiceTarget>;
  readonly newSid: (prefix: string) => string;
  readonly balancingKey: (source: HashKeySource | undefined, call: Call, request: object) => string | undefined;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

/** What a request of every protocol has: what its caller says about itself, where admission adds the app. */
export interface DecodedRequest {
  readonly header: Readonly<Record<string, unknown>>;
}

/** The stages of one protocol: from a body to a request of its own, from that to the one for loaders, and back. */
export interface Dialect<Body, Request extends DecodedRequest, Answer> {
  /** The body as its caller sent it, which may be signed, and is charged. */
  readonly received: (body: Body) => string | Uint8Array;
  /** How many bytes the request has beside those; they are charged as well. */
  readonly otherBytes?: (request: Request) => number;
  readonly decode: (body: Body) => Request;
  /** What a request to a category means; without it the protocol knows no categories. */
  readonly choose?: (category: ServiceTarget, request: Request) => Chosen<Request> | undefined;
  readonly validate: (service: CompiledService, request: Request, sid: string) => InferRequest;
  readonly encode: (service: CompiledService, response: InferResponse, request: Request) => Answer;
  /** How many milliseconds the request says that its caller waits; undefined: as long as the service may take. */
  readonly timeoutMs?: (request: Request) => number | undefined;
}

/** How a request ended. */
export interface Outcome<Answer> {
  readonly sid: string;
  /** "" for a request that reached no service. */
  readonly service: string;
  /** Who sent it; "" while admission is off, and for a request whose sender is not known. */
  readonly app: string;
  /** The answer, or why there is none. */
  readonly result: Answer | ServingError;
  /** The service's own HTTP statuses by error code; absent for an answer, and where the service has none. */
  readonly codeMap?: ReadonlyMap<number, number> | undefined;
}

/** Carries one once-request of a protocol down the line and its answer back up. Never rejects. */
export type Pipeline<Body, Answer> = (call: Call, readBody: BodyReader<Body>) => Promise<Outcome<Answer>>;

/** Reads a request's body, once it is known which service it is for; `timeoutMs` is the time that its answer may take. */
export type BodyReader<Body> = (timeoutMs: number) => Promise<Body> | Body;

/** The request ids of requests that reach no service begin with these letters, as the predecessor's do. */
export const defaultSidPrefix = "ase";

/** Joins the stages into the straight line. */
export function createPipeline<Body, Request extends DecodedRequest, Answer>(
  stages: SharedStages,
  dialect: Dialect<Body, Request, Answer>,
): Pipeline<Body, Answer> {
  return async (call, readBody) => {
    const started = stages.now();
    let sid = "";
    let meant: ServiceTarget | undefined;
    let app = "";
    let place: Disposable | undefined;
    let ticket: Ticket | undefined;
    try {
      place = stages.inFlight.enter();
      // Who calls is found out before anything else, and what it may use before its body is read.
      const caller = await stages.admission(call);
      app = caller.app;
      const asked = stages.route(call);
      meant = asked;
      ticket = await caller.admit({ service: asked.id, kind: "call" });
      const described = asked.compiled(call.version);
      sid = stages.newSid(described?.sidPrefix ?? defaultSidPrefix);
      const body = await readBody(asked.timeoutMs);
      const admitted = await ticket.accept(dialect.received(body));
      const decoded = dialect.decode(body);
      if (dialect.otherBytes !== undefined) await admitted.spend(dialect.otherBytes(decoded));
      const named = { ...decoded, header: admitted.nameApp(decoded.header) };
      const chosen = meaningOf(asked, dialect, named);
      const { target, request } = chosen;
      meant = target;
      const compiled = target === asked ? described : target.compiled(call.version);
      if (compiled === undefined) throw notDescribed(target, call.version);
      const valid = dialect.validate(compiled, request, sid);
      const response = await target.dispatch(completed(valid, call, chosen, admitted), {
        admitted,
        key: stages.balancingKey(target.hashKey, call, request),
        deadline: started + timeoutOf(target, call, dialect.timeoutMs?.(request)),
        signal: call.signal,
      });
      return { sid, service: target.id, app, result: dialect.encode(compiled, response, request) };
    } catch (error) {
      const service = meant?.id ?? "";
      const result = ServingError.from(error);
      return { sid: sid || stages.newSid(defaultSidPrefix), service, app, result, codeMap: meant?.codeMap };
    } finally {
      ticket?.[Symbol.dispose]();
      place?.[Symbol.dispose]();
    }
  };
}

/**
 * The service that a request was sent to, or that which the category that it was sent to chooses.
 *
 * @throws ServingError SERVICE_NOT_FOUND for a category in a protocol that knows none, and as `choose` does.
 */
export function meaningOf<Request>(
  asked: ServiceTarget,
  dialect: { readonly choose?: (category: ServiceTarget, request: Request) => Chosen<Request> | undefined },
  request: Request,
): Chosen<Request> {
  if (asked.choose === undefined) return { target: asked, request };
  const chosen = dialect.choose?.(asked, request);
  if (chosen !== undefined) return chosen;
  throw new ServingError("SERVICE_NOT_FOUND", `'${asked.id}' is a category, which this protocol cannot call`);
}

/** A checked request as loaders get it: in the version that was asked for, no more urgent than its sender may be. */
export function completed(
  request: InferRequest,
  call: Call,
  { target, headers }: Pick<Chosen<unknown>, "target" | "headers">,
  { maxPriority }: Admitted,
): InferRequest {
  if (headers !== undefined) Object.assign(request.headers, headers);
  const priority = Math.min(request.priority, maxPriority);
  return { ...request, version: call.version || target.version, priority };
}

function timeoutOf(target: ServiceTarget, call: Call, stated: number | undefined): number {
  return Math.min(target.timeoutMs, call.timeoutMs ?? Infinity, stated ?? Infinity);
}

/** Why a service cannot be called, of which there is no definition in this version. */
export function notDescribed(target: ServiceTarget, version = ""): ServingError {
  if (version !== "" && target.compiled() !== undefined) {
    return new ServingError("SERVICE_NOT_FOUND", `service '${target.id}' has no version '${version.slice(0, 64)}'`);
  }
  return new ServingError("SERVICE_NOT_READY", `service '${target.id}' is not ready: no loader has described it yet`);
}
