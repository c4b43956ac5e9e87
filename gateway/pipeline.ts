import type { HashKeySource } from "../config/gateway.ts";
import { ServingError } from "../proto/errors.ts";
import type { InferRequest, InferResponse } from "../proto/gen/athena/v1/inference_pb.ts";
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
  readonly hashKey: HashKeySource | undefined;
  /** The service's definition, compiled; undefined until a loader has told it. */
  compiled(): CompiledService | undefined;
  /** Calls an endpoint of the service, perhaps several in turn. Throws ServingError. */
  dispatch(request: InferRequest, options: DispatchCall): Promise<InferResponse>;
}

/** What a call is bounded by on its way to a loader. */
export interface DispatchCall {
  readonly admitted: Admitted;
  readonly key: string | undefined;
  /** On the clock of {@link Stages.now}. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

/** The stages of the straight line, in the order in which a request passes them. */
export interface Stages {
  readonly inFlight: InFlight;
  readonly admission: Admission;
  readonly route: Router<ServiceTarget>;
  readonly newSid: (prefix: string) => string;
  readonly decode: (body: string) => Envelope;
  readonly validate: (service: CompiledService, envelope: Envelope, sid: string) => InferRequest;
  readonly balancingKey: (source: HashKeySource | undefined, call: Call, envelope: Envelope) => string | undefined;
  readonly encode: (service: CompiledService, response: InferResponse) => string;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

/** How a request ended. */
export interface Outcome {
  readonly sid: string;
  /** "" for a request that reached no service. */
  readonly service: string;
  /** Who sent it; "" while admission is off, and for a request whose sender is not known. */
  readonly app: string;
  /** The answer's body, or why there is none. */
  readonly result: string | ServingError;
}

/** Carries one once-request of the unified protocol down the line and its answer back up. Never rejects. */
export type Pipeline = (call: Call, readBody: BodyReader) => Promise<Outcome>;

/** Reads a request's body, once it is known which service it is for; `timeoutMs` is the time that its answer may take. */
export type BodyReader = (timeoutMs: number) => Promise<string>;

/** The request ids of requests that reach no service begin with these letters, as the predecessor's do. */
const defaultSidPrefix = "ase";

/** Joins the stages into the straight line. */
export function createPipeline(stages: Stages): Pipeline {
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
      const compiled = target.compiled();
      sid = stages.newSid(compiled?.sidPrefix ?? defaultSidPrefix);
      const body = await readBody(target.timeoutMs);
      const admitted = await ticket.accept(body);
      const decoded = stages.decode(body);
      const envelope = { ...decoded, header: admitted.nameApp(decoded.header) };
      if (compiled === undefined) {
        throw new ServingError(
          "SERVICE_NOT_READY",
          `service '${target.id}' is not ready: no loader has described it yet`,
        );
      }
      const request = { ...stages.validate(compiled, envelope, sid), version: target.version };
      const response = await target.dispatch(request, {
        admitted,
        key: stages.balancingKey(target.hashKey, call, envelope),
        deadline: started + target.timeoutMs,
        signal: call.signal,
      });
      return { sid, service, app, result: stages.encode(compiled, response) };
    } catch (error) {
      return { sid: sid || stages.newSid(defaultSidPrefix), service, app, result: ServingError.from(error) };
    } finally {
      ticket?.[Symbol.dispose]();
      place?.[Symbol.dispose]();
    }
  };
}
