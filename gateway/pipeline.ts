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
import type { Call } from "./types.ts";

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
  /**
   * The service's definition, compiled; undefined until a loader has told it. With a version, that of this version, if the
   * service may be called in it.
   */
  compiled(version?: string): CompiledService | undefined;
  /** Calls an endpoint of the service, perhaps several in turn. Throws ServingError. */
  dispatch(request: InferRequest, options: DispatchCall): Promise<InferResponse>;
  /** Runs a session on an endpoint of the service; its first message, without a response, says that one has taken it. */
  dispatchSession(
    request: InferRequest,
    inputs: AsyncIterable<StreamInput>,
    options: DispatchSessionCall,
  ): AsyncIterable<InferStreamResponse>;
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
    let service = "";
    let app = "";
    let place: Disposable | undefined;
    let ticket: Ticket | undefined;
    try {
      place = stages.inFlight.enter();
      // Who calls is found out before anything else, and what it may use before its body is read.
      const caller = await stages.admission(call);
      app = caller.app;
      const target = stages.route(call);
      service = target.id;
      ticket = await caller.admit({ service, kind: "call" });
      const compiled = target.compiled(call.version);
      sid = stages.newSid(compiled?.sidPrefix ?? defaultSidPrefix);
      const body = await readBody(target.timeoutMs);
      const admitted = await ticket.accept(dialect.received(body));
      const decoded = dialect.decode(body);
      if (dialect.otherBytes !== undefined) await admitted.spend(dialect.otherBytes(decoded));
      const request = { ...decoded, header: admitted.nameApp(decoded.header) };
      if (compiled === undefined) throw notDescribed(target, call.version);
      const valid = { ...dialect.validate(compiled, request, sid), version: call.version || target.version };
      const response = await target.dispatch(valid, {
        admitted,
        key: stages.balancingKey(target.hashKey, call, request),
        deadline: started + timeoutOf(target, call, dialect.timeoutMs?.(request)),
        signal: call.signal,
      });
      return { sid, service, app, result: dialect.encode(compiled, response, request) };
    } catch (error) {
      return { sid: sid || stages.newSid(defaultSidPrefix), service, app, result: ServingError.from(error) };
    } finally {
      ticket?.[Symbol.dispose]();
      place?.[Symbol.dispose]();
    }
  };
}

function timeoutOf(target: ServiceTarget, call: Call, stated: number | undefined): number {
  return Math.min(target.timeoutMs, call.timeoutMs ?? Infinity, stated ?? Infinity);
}

function notDescribed(target: ServiceTarget, version = ""): ServingError {
  if (version !== "" && target.compiled() !== undefined) {
    return new ServingError("SERVICE_NOT_FOUND", `service '${target.id}' has no version '${version.slice(0, 64)}'`);
  }
  return new ServingError("SERVICE_NOT_READY", `service '${target.id}' is not ready: no loader has described it yet`);
}
