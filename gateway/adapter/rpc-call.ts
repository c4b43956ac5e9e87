import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { ServingError } from "../../proto/errors.ts";
import type { Call } from "../types.ts";
import { targetOf } from "./http.ts";
import type { PortRecord } from "./rpc-record.ts";

/** What a listener knows of a call beside its messages. */
export interface Peer {
  readonly clientAddress: string;
  /** Lets the connection be silent until the answer: the call has bounds of its own. */
  holdOpen(): void;
  /** Bounds its silence as before, when the call is over: its client may not read the answer. */
  letGo(): void;
  /** Ends the call's stream, or its connection when it has no other call, for a client that reads nothing of it. */
  cut(): void;
  /** Through which the call's end is told, once. */
  readonly record: Pick<PortRecord, "claim" | "begin">;
}

const nobody: Peer = { clientAddress: "", holdOpen() {}, letGo() {}, cut() {}, record: { claim() {}, begin() {} } };
const peerKey = createContextKey<Peer>(nobody, { description: "the caller" });

/** The values that a listener hands to the handlers of one call. */
export function contextValuesFrom(peer: Peer): ContextValues {
  return createContextValues().set(peerKey, peer);
}

/** Watches a call from the moment that its protocol is known. Throws the call's end if it is over by then. */
export function beginCall(context: HandlerContext): void {
  context.values.get(peerKey).record.begin(context);
}

/**
 * Says that its service tells of the call from now on.
 *
 * @throws the call's end, which was told already, when it is over.
 */
export function claimCall(context: HandlerContext): void {
  context.values.get(peerKey).record.claim();
}

/** Lets a call's connection be silent for as long as the call lasts. */
export function holdCallOpen(context: HandlerContext): void {
  context.values.get(peerKey).holdOpen();
}

/** Ends the stream of a call whose client reads nothing of it. */
export function cutCall(context: HandlerContext): void {
  context.values.get(peerKey).cut();
}

/**
 * A Connect, gRPC-Web or gRPC call as the line is told of it; the service's name and version are in the message. From now
 * on its connection may be silent.
 */
export function callFromRpc(context: HandlerContext, service: string, version: string): Call {
  const peer = context.values.get(peerKey);
  const timeoutMs = context.timeoutMs();
  peer.holdOpen();
  return {
    method: context.requestMethod,
    target: () => targetOf(context.url),
    path: "",
    host: "",
    serviceId: service,
    version,
    clientAddress: peer.clientAddress,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    header: (name) => context.requestHeader.get(name),
    signal: hangUpOf(context.signal),
  };
}

/** Whether a handler's signal has aborted because the call's deadline has passed, and not because its caller is gone. */
function isLate({ reason }: AbortSignal): boolean {
  return reason instanceof ConnectError && reason.code === Code.DeadlineExceeded;
}

/** The caller's hang-up alone: the line keeps the deadline itself, and tells the two apart. */
function hangUpOf(signal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const onAbort = (): void => {
    if (!isLate(signal)) controller.abort();
  };
  if (signal.aborted) onAbort();
  // The signal is the call's own and goes with it.
  else signal.addEventListener("abort", onAbort, { once: true });
  return controller.signal;
}

/** The end of a call as sessions are told of it. */
export interface CallEnd {
  readonly signal: AbortSignal;
  abort(error: ServingError): void;
}

/** The end of the call that a handler's signal belongs to: a deadline that has passed is no hang-up. */
export function endOf(caller: AbortSignal): CallEnd {
  const controller = new AbortController();
  const abort = (error: ServingError): void => controller.abort(error);
  const onAbort = (): void => {
    abort(
      isLate(caller)
        ? new ServingError("DEADLINE_EXCEEDED", "the session's deadline has passed")
        : new ServingError("CANCELED", "the client hung up"),
    );
  };
  if (caller.aborted) onAbort();
  // The signal is the call's own and goes with it.
  else caller.addEventListener("abort", onAbort, { once: true });
  return { signal: controller.signal, abort };
}
