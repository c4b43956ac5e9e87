import type { DescMethod } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import { ServingError } from "../../proto/errors.ts";
import { InferenceService } from "../../proto/gen/athena/v1/inference_pb.ts";
import { GRPCInferenceService } from "../../proto/gen/inference/grpc_service_pb.ts";
import type { AccessLogEntry, Protocol } from "../telemetry/access-log.ts";
import type { Outcomes } from "../telemetry/outcomes.ts";
import { completeError, refusalFrom } from "./rpc-refusal.ts";
import { httpStatusFromError } from "./status.ts";

/** What a port tells the ends of calls to. */
export interface RpcObserver extends Outcomes {
  /** An id for a request that reached no service. */
  readonly newSid: () => string;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

/** One call on a port. Its end is told once: by the service that has claimed it, or by the port. */
export interface CallRecord {
  /**
   * From now on the service tells of the call.
   *
   * @throws the call's end, which was told already, when it is over.
   */
  claim(): void;
}

/** The port's own side of a {@link CallRecord}. */
export interface PortRecord extends CallRecord {
  /** Aborts when the call is over, with its error as the reason. */
  readonly over: AbortSignal;
  /** Whether the call has come as far as {@link begin}. */
  readonly hasBegun: boolean;
  /** Watches the call: its protocol is known, and nothing of its messages was read yet. Throws its end if it is over. */
  begin(context: HandlerContext): void;
  /** Tells of a call that has not come so far; gives the request's id, "" for what is no request. */
  refuse(error: ServingError, protocol: Protocol): string;
}

/** What a port knows of a call before it is looked at. */
export interface RecordedCall {
  /** undefined for a path that no service has. */
  readonly method: DescMethod | undefined;
  readonly clientAddress: string;
  /** Aborts when the client hangs up. */
  readonly hangUp: AbortSignal;
}

/** Calls that run a service, by how their ends are told; every other one is a lookup. */
const inferences: ReadonlyMap<DescMethod, "request" | "session"> = new Map<DescMethod, "request" | "session">([
  [InferenceService.method.infer, "request"],
  [InferenceService.method.inferServerStream, "session"],
  [InferenceService.method.inferStream, "session"],
  [GRPCInferenceService.method.modelInfer, "request"],
  [GRPCInferenceService.method.modelStreamInfer, "request"],
]);

/** Begins to watch a call. */
export function startRecord(call: RecordedCall, observer: RpcObserver): PortRecord {
  const { method, clientAddress: client, hangUp } = call;
  const started = observer.now();
  const over = new AbortController();
  const kind = method === undefined ? "request" : (inferences.get(method) ?? "lookup");
  let isClaimed = false;
  let hasBegun = false;

  const tell = (error: ServingError | undefined, protocol: Protocol): string => {
    const durationMs = observer.now() - started;
    if (kind === "session") {
      const sid = observer.newSid();
      observer.sessionObserver.onEnd(sessionFrom({ sid, protocol, client, error, durationMs }));
      return sid;
    }
    const seen = { protocol, ...endFrom(error), durationMs, client };
    if (kind === "lookup") {
      observer.observeLookup({ path: method === undefined ? "" : pathOf(method), ...seen });
      return "";
    }
    const sid = observer.newSid();
    observer.observe({ sid, service: "", ...seen });
    return sid;
  };

  return {
    over: over.signal,
    get hasBegun() {
      return hasBegun;
    },
    begin({ signal, protocolName }) {
      hasBegun = true;
      const onEnd = (): void => {
        if (!isClaimed) {
          const error = errorOf(signal.reason, hangUp);
          const sid = tell(error, protocolFrom(protocolName));
          if (error !== undefined && signal.reason instanceof ConnectError) completeError(signal.reason, error, sid);
        }
        over.abort(signal.reason);
      };
      if (signal.aborted) {
        onEnd();
        throw signal.reason;
      }
      signal.addEventListener("abort", onEnd, { once: true });
    },
    claim() {
      if (over.signal.aborted) throw over.signal.reason;
      isClaimed = true;
    },
    refuse: tell,
  };
}

/** Why a call is over; undefined when it was answered. */
function errorOf(reason: unknown, hangUp: AbortSignal): ServingError | undefined {
  if (reason instanceof ConnectError) return refusalFrom(reason);
  if (hangUp.aborted) return new ServingError("CANCELED", "the client hung up");
  // The stock handlers end a call that was answered without a reason.
  return reason instanceof Error && reason.name === "AbortError" ? undefined : ServingError.from(reason);
}

function endFrom(error: ServingError | undefined): Pick<AccessLogEntry, "outcome" | "status" | "error"> {
  return error === undefined
    ? { outcome: "OK", status: 200 }
    : { outcome: error.reason, status: httpStatusFromError(error), error };
}

interface UnopenedSession {
  readonly sid: string;
  readonly protocol: Protocol;
  readonly client: string;
  readonly error: ServingError | undefined;
  readonly durationMs: number;
}

function sessionFrom({ error, ...seen }: UnopenedSession) {
  const nothing = { service: "", app: "", firstResultMs: undefined, framesIn: 0, framesOut: 0 };
  return { ...seen, ...nothing, error, outcome: error?.reason ?? ("OK" as const) };
}

function pathOf({ parent, name }: DescMethod): string {
  return `/${parent.typeName}/${name}`;
}

/** The protocol of a handler's own name for it. */
export function protocolFrom(name: string): Protocol {
  return name === "grpc" || name === "grpc-web" ? name : "connect";
}
