import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { EngineResult } from "../engine.ts";
import { encodeFrame, type Frame, frameKind } from "./frames.ts";
import { readFailure, readResult, writeRequest } from "./messages.ts";

/** What a call of a worker hears. */
export interface CallEvents {
  onResult(result: EngineResult): void;
  /** The worker has taken in one chunk of a session's input. */
  onAck?(): void;
  /** Nothing comes any more; with an error, because the call failed or the worker ended. Called once. */
  onEnd(error?: ServingError): void;
}

/** The calls of one worker that it has not ended. */
export interface CallTable {
  readonly size: number;
  /** Registers a call; gives its id. */
  open(events: CallEvents): number;
  /** Notes that nobody waits for it any more; its events are not called again. It stays until the worker ends it. */
  cancel(callId: number): void;
  /** Passes a worker's frame to its call; frames of calls that are gone are late. Throws FrameError. */
  onFrame(frame: Frame): void;
  /** Ends every call. */
  fail(error: ServingError): void;
  oldestCancelledAt(): number | undefined;
}

interface OpenCall {
  readonly events: CallEvents;
  cancelledAt: number | undefined;
}

/** Builds an empty table. */
export function createCallTable(now: () => number): CallTable {
  const calls = new Map<number, OpenCall>();
  let last = 0;
  const end = (callId: number, call: OpenCall, error?: ServingError): void => {
    calls.delete(callId);
    if (call.cancelledAt === undefined) call.events.onEnd(error);
  };
  const onResult = (callId: number, call: OpenCall, body: Uint8Array): void => {
    const result = readResult(body);
    if (call.cancelledAt === undefined) call.events.onResult(result);
    if (result.status === Status.END || result.status === Status.ONCE) end(callId, call);
  };
  return {
    get size() {
      return calls.size;
    },
    open(events) {
      last = (last % 0xffff_ffff) + 1;
      calls.set(last, { events, cancelledAt: undefined });
      return last;
    },
    cancel(callId) {
      const call = calls.get(callId);
      if (call !== undefined) call.cancelledAt ??= now();
    },
    onFrame({ kind, callId, body }) {
      const call = calls.get(callId);
      if (call === undefined) return;
      if (kind === frameKind.ack) call.events.onAck?.();
      else if (kind === frameKind.result) onResult(callId, call, body);
      else if (kind === frameKind.failed) end(callId, call, readFailure(body));
      else if (kind === frameKind.done) end(callId, call);
    },
    fail(error) {
      for (const [callId, call] of calls) end(callId, call, error);
    },
    oldestCancelledAt() {
      for (const { cancelledAt } of calls.values()) if (cancelledAt !== undefined) return cancelledAt;
      return undefined;
    },
  };
}

/** Sends frames to a worker. */
export type SendFrame = (pieces: readonly Uint8Array[]) => void;

/** Runs one once-call: its single result, or why there is none. */
export function execCall(
  calls: CallTable,
  send: SendFrame,
  request: InferRequest,
  signal: AbortSignal,
): Promise<EngineResult> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(ServingError.from(signal.reason));
      return;
    }
    const callId = calls.open({
      onResult: resolve,
      onEnd(error) {
        signal.removeEventListener("abort", onAbort);
        // Without an error this comes after the result, and changes nothing.
        reject(error ?? new ServingError("ENGINE_FAILED", "the engine ended the call without a result"));
      },
    });
    const onAbort = (): void => {
      calls.cancel(callId);
      send(encodeFrame(frameKind.cancel, callId));
      reject(ServingError.from(signal.reason));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    send(encodeFrame(frameKind.exec, callId, writeRequest(request)));
  });
}
