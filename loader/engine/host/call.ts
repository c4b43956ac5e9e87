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

/** What a call is about: a request, a session, or the loading or unloading of a personal resource. */
export type CallKind = "once" | "session" | "resource";

/** The calls of one worker that it has not ended. */
export interface CallTable {
  /** Requests and sessions. */
  readonly size: number;
  /** Whether the worker has nothing to do at all. */
  readonly isIdle: boolean;
  /**
   * Registers a call; gives its id. A session stays here until the worker says DONE, since it is destroyed after its last
   * result; its events end with that result. `resourceIds` are the personal resources that it names.
   */
  open(events: CallEvents, kind: CallKind, resourceIds?: readonly number[]): number;
  /** Whether a call names this personal resource. */
  names(resourceId: number): boolean;
  /** Notes that nobody waits for it any more; its events are not called again. It stays until the worker ends it. */
  cancel(callId: number): void;
  /** Passes a worker's frame to its call; frames of calls that are gone are late. Throws FrameError. */
  onFrame(frame: Frame): void;
  /** Forgets a call that the worker was never told of. */
  discard(callId: number): void;
  /** Ends every call. */
  fail(error: ServingError): void;
  /** Whether the worker goes on for too long with a call that nobody waits for any more. */
  isStuck(): boolean;
}

/** What a call table is bounded by. */
export interface CallTableOptions {
  /** How long a worker may go on with a call that was cancelled. */
  readonly cancelGraceMs: number;
  readonly now: () => number;
}

interface OpenCall {
  readonly events: CallEvents;
  readonly kind: CallKind;
  readonly resourceIds: readonly number[];
  /** Undefined while somebody waits for it. */
  stuckAt: number | undefined;
}

/** How long a session may take from its last result to its end: what its wrapper does there is its own clearing up. */
const destroyGraceMs = 10_000;

/**
 * Builds an empty table. `onEnded` hears of every call that is over, cancelled ones included, and whether the worker ended
 * it itself.
 */
export function createCallTable(options: CallTableOptions, onEnded: (isAnswered: boolean) => void): CallTable {
  const { now, cancelGraceMs } = options;
  const calls = new Map<number, OpenCall>();
  let last = 0;
  let resourceCalls = 0;
  const end = (callId: number, call: OpenCall, isAnswered: boolean, error?: ServingError): void => {
    remove(callId, call.kind);
    if (call.stuckAt === undefined) call.events.onEnd(error);
    // A resource is loaded into every new worker: that it was says no more of the worker than its start does.
    onEnded(isAnswered && call.kind !== "resource");
  };
  const remove = (callId: number, kind: CallKind): void => {
    calls.delete(callId);
    if (kind === "resource") resourceCalls -= 1;
  };
  const conclude = (callId: number, call: OpenCall, error?: ServingError): void => {
    if (call.kind !== "session") {
      end(callId, call, true, error);
    } else if (call.stuckAt === undefined) {
      call.stuckAt = now() + destroyGraceMs;
      call.events.onEnd(error);
    }
  };
  const onResult = (callId: number, call: OpenCall, body: Uint8Array): void => {
    const result = readResult(body);
    if (call.stuckAt === undefined) call.events.onResult(result);
    if (result.status === Status.END || result.status === Status.ONCE) conclude(callId, call);
  };
  return {
    get size() {
      return calls.size - resourceCalls;
    },
    get isIdle() {
      return calls.size === 0;
    },
    open(events, kind, resourceIds = []) {
      last = (last % 0xffff_ffff) + 1;
      calls.set(last, { events, kind, resourceIds, stuckAt: undefined });
      if (kind === "resource") resourceCalls += 1;
      return last;
    },
    names: (resourceId) => calls.values().some(({ resourceIds }) => resourceIds.includes(resourceId)),
    cancel(callId) {
      const call = calls.get(callId);
      if (call !== undefined) call.stuckAt ??= now() + cancelGraceMs;
    },
    onFrame({ kind, callId, body }) {
      const call = calls.get(callId);
      if (call === undefined) return;
      if (kind === frameKind.ack) call.events.onAck?.();
      else if (kind === frameKind.result) onResult(callId, call, body);
      else if (kind === frameKind.failed) conclude(callId, call, readFailure(body));
      else if (kind === frameKind.done) end(callId, call, true);
    },
    discard(callId) {
      const call = calls.get(callId);
      if (call !== undefined) remove(callId, call.kind);
    },
    fail(error) {
      for (const [callId, call] of calls) end(callId, call, false, error);
    },
    isStuck: () => calls.values().some(({ stuckAt }) => stuckAt !== undefined && stuckAt <= now()),
  };
}

/** Sends frames to a worker. Throws ServingError PAYLOAD_TOO_LARGE for one that it would not take; nothing is sent then. */
export type SendFrame = (pieces: readonly Uint8Array[]) => void;

/** An answer with more parts than this does not end; each part has a name that the service declares, so few are many. */
const maxAnswerParts = 1000;

/** Runs one once-call: its answer, or why there is none. An answer in several results is put together. */
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
    let answer: EngineResult | undefined;
    const callId = calls.open(
      {
        onResult(result) {
          answer = answer === undefined ? result : { ...result, parts: [...answer.parts, ...result.parts] };
          if (answer.parts.length > maxAnswerParts) {
            onAbort(new ServingError("ENGINE_FAILED", `the engine's answer has more than ${maxAnswerParts} parts`));
          }
        },
        onEnd(error) {
          signal.removeEventListener("abort", onSignal);
          if (error === undefined && answer !== undefined) resolve({ ...answer, status: Status.ONCE });
          else reject(error ?? new ServingError("ENGINE_FAILED", "the engine ended the call without a result"));
        },
      },
      "once",
      request.resourceIds,
    );
    const onAbort = (reason: unknown): void => {
      signal.removeEventListener("abort", onSignal);
      calls.cancel(callId);
      send(encodeFrame(frameKind.cancel, callId));
      reject(ServingError.from(reason));
    };
    const onSignal = (): void => onAbort(signal.reason);
    signal.addEventListener("abort", onSignal, { once: true });
    try {
      send(encodeFrame(frameKind.exec, callId, writeRequest(request)));
    } catch (error) {
      signal.removeEventListener("abort", onSignal);
      calls.discard(callId);
      reject(ServingError.from(error));
    }
  });
}
