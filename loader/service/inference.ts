import { ServingError } from "../../proto/errors.ts";
import { type InferRequest, type InferResponse, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../proto/gen/athena/v1/part_pb.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { Load } from "../../proto/metadata.ts";
import type { RunOptions } from "../scheduler/scheduler.ts";
import { type CallSignal, createCallSignal } from "./call-signal.ts";
import { checkRequest, finishParts } from "./check-request.ts";
import { assertResources } from "./check-resources.ts";
import { createIdleWatch } from "./idle-watch.ts";
import type { Catalog, Served } from "./served.ts";
import type { SessionInputs } from "./session-input.ts";

/** The end of a call: "OK" or the reason of its error. */
export type CallOutcome = "OK" | ServingError["reason"];

/** What inference works with. */
export interface InferenceOptions {
  readonly catalog: Catalog;
  readonly isDraining: () => boolean;
  readonly newSid: () => string;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Told of each call when it has ended, once. `service` is "" for one that reached none. */
  readonly observe: (service: string, outcome: CallOutcome, durationMs: number) => void;
}

/** What bounds one call. */
export interface CallBounds {
  /** Aborts when the caller hangs up. */
  readonly signal: AbortSignal;
  /** How long the caller waits; undefined: as long as the service allows. */
  readonly timeoutMs: number | undefined;
  /** Told how busy the service is after the call, for the answer's header. */
  readonly onLoad: (load: Load) => void;
}

/** Runs calls on the loader's services. Every method throws ServingError. */
export interface Inference {
  once(request: InferRequest, bounds: CallBounds): Promise<InferResponse>;
  /** Runs a session. Gives "open" when it has its slot, then its results. */
  stream(request: InferRequest, inputs: SessionInputs, bounds: CallBounds): AsyncGenerator<InferResponse | "open">;
}

/** The most that chunks of one session may hold while they wait for one that is missing. */
const maxWaitingBytes = 67_108_864;

/** The place of a result in its answer, as parts state it: 0 begin, 1 continue, 2 end, 3 once. */
const placeFromStatus = { [Status.BEGIN]: 0, [Status.CONTINUE]: 1, [Status.END]: 2, [Status.ONCE]: 3 } as const;

/** Joins catalog, scheduler and engine. */
export function createInference(options: InferenceOptions): Inference {
  const { catalog, isDraining, newSid, now, observe } = options;

  const find = (request: InferRequest, kind: CallKind): Served => callable(catalog, request, kind, isDraining());

  return {
    async once(request, bounds) {
      const started = now();
      let service = "";
      let outcome: CallOutcome = "OK";
      let served: Served | undefined;
      try {
        served = find(request, "once");
        service = served.definition.id;
        const { engine, scheduler } = served;
        const checked = checkRequest(served.definition, request, newSid);
        assertResources(service, engine.resources, request.resourceIds);
        using call = createCallSignal(bounds.signal, timeoutOf(served, bounds), service, now);
        const asked = now();
        let begun = asked;
        const compute = () => {
          begun = now();
          return engine.infer(checked, call.signal, call.deadline - begun);
        };
        const result = await scheduler.run(compute, waitingOf(checked, call));
        const times = { queueUs: microseconds(begun - asked), computeUs: microseconds(now() - begun) };
        return responseFrom(served, checked, finishParts(checked, result.parts, 0, 3), Status.ONCE, times);
      } catch (thrown) {
        const error = ServingError.from(thrown);
        outcome = error.reason;
        throw error;
      } finally {
        if (served !== undefined) bounds.onLoad(served.scheduler.load());
        observe(service, outcome, now() - started);
      }
    },

    async *stream(request, inputs, bounds) {
      const started = now();
      let service = "";
      let outcome: CallOutcome = "CANCELED";
      try {
        const served = find(request, "stream");
        service = served.definition.id;
        // A session's first message may carry no data yet: what is required is up to its engine.
        const checked = checkRequest(withoutRequired(served), { ...request, parts: [] }, newSid);
        assertResources(service, served.engine.resources, request.resourceIds);
        const { totalTimeoutMs } = served.session;
        const timeoutMs = Math.min(totalTimeoutMs, bounds.timeoutMs ?? totalTimeoutMs);
        using call = createCallSignal(bounds.signal, timeoutMs, service, now);
        bounds.onLoad(served.scheduler.load());
        using _slot = await served.scheduler.acquire(waitingOf(checked, call));
        bounds.onLoad(served.scheduler.load());
        yield "open";
        yield* runSession(served, checked, inputs, call, now);
        outcome = "OK";
      } catch (thrown) {
        const error = ServingError.from(thrown);
        outcome = error.reason;
        throw error;
      } finally {
        observe(service, outcome, now() - started);
      }
    },
  };
}

/** A session that has its slot: its results as they come. */
async function* runSession(
  served: Served,
  request: InferRequest,
  inputs: SessionInputs,
  { signal, deadline }: CallSignal,
  now: () => number,
): AsyncGenerator<InferResponse> {
  const { definition, engine, session } = served;
  const { idleTimeoutMs, holeTimeoutMs, maxWaitingChunks: maxWaiting } = session;
  using idle = createIdleWatch(signal, idleTimeoutMs, definition.id);
  const chunks = idle.watch(inputs({ holeTimeoutMs, maxWaiting, maxWaitingBytes, now }));
  let seq = 0;
  for await (const result of engine.stream(request, chunks, idle.signal, deadline - now())) {
    idle.touch();
    seq += 1;
    const place = placeFromStatus[result.status === Status.UNSPECIFIED ? Status.CONTINUE : result.status];
    yield responseFrom(served, request, finishParts(request, result.parts, seq, place), result.status);
  }
}

type CallKind = "once" | "stream";

function callable(catalog: Catalog, request: InferRequest, kind: CallKind, draining: boolean): Served {
  const served = catalog.find(request.service, request.version);
  const { id } = served.definition;
  if (draining) throw new ServingError("DRAINING", `service '${id}' is shutting down here`);
  const { state } = served.state();
  if (state !== ServiceState.READY) throw new ServingError("SERVICE_NOT_READY", `service '${id}' is not ready`);
  if (served.definition[kind]) return served;
  const text = kind === "once" ? "once-calls, only streams" : "streams, only once-calls";
  throw new ServingError("UNSUPPORTED_OPERATION", `service '${id}' does not answer ${text}`);
}

type Times = Pick<InferResponse, "queueUs" | "computeUs">;

function responseFrom(
  { definition }: Served,
  { sid }: InferRequest,
  parts: Part[],
  status: Status,
  times: Times = { queueUs: 0, computeUs: 0 },
): InferResponse {
  const { id: service, version } = definition;
  return { $typeName: "athena.v1.InferResponse", sid, status, parts, service, version, ...times };
}

/** As the answer's 32-bit fields hold them: an hour fits, and no call may take longer. */
function microseconds(ms: number): number {
  return Math.min(Math.round(ms * 1000), 0xffff_ffff);
}

function timeoutOf(served: Served, bounds: CallBounds): number {
  const limit = served.definition.timeoutMs === 0 ? 2 ** 31 - 1 : served.definition.timeoutMs;
  return bounds.timeoutMs === undefined ? limit : Math.min(limit, bounds.timeoutMs);
}

function waitingOf({ priority }: InferRequest, { signal, deadline }: CallSignal): RunOptions {
  return { signal, deadline, priority };
}

function withoutRequired({ definition }: Served) {
  return { ...definition, inputs: definition.inputs.map((input) => ({ ...input, required: false })) };
}
