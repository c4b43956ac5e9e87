import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { EngineInput, EngineResult } from "../engine.ts";
import { createByteWriter } from "./byte-writer.ts";
import type { CallTable, SendFrame } from "./call.ts";
import { encodeFrame, frameKind } from "./frames.ts";
import { writeInput, writeRequest } from "./messages.ts";

/** Chunks that a worker may have been sent without having taken them in. */
const maxUnacknowledged = 32;
/** Results that a worker may send ahead of their reader, by the protocol. */
const maxAhead = 256;
/** Of how many results the worker is told together that they are taken: few enough that it never stands still for them. */
const takenStep = 64;
/** What a worker that does not keep to it may send ahead before its session is ended. */
const maxWaitingResults = 4 * maxAhead;

/**
 * Runs a session on a worker. Input goes on while results are read; leaving the loop early, or an abort, tells the worker,
 * which then destroys its side.
 */
export async function* runSession(
  calls: CallTable,
  send: SendFrame,
  request: InferRequest,
  inputs: AsyncIterable<EngineInput>,
  signal: AbortSignal,
): AsyncGenerator<EngineResult> {
  if (signal.aborted) throw ServingError.from(signal.reason);
  const results = createResultQueue((count) => {
    const body = createByteWriter();
    body.u32(count);
    if (!isOver) send(encodeFrame(frameKind.taken, callId, body));
  });
  const window = createWindow();
  let isOver = false;
  const callId = calls.open(
    {
      onResult: results.push,
      onAck: window.acknowledge,
      onEnd(error) {
        isOver = true;
        window.close();
        results.end(error);
      },
    },
    "session",
    request.resourceIds,
  );
  const onAbort = (): void => results.end(ServingError.from(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    send(encodeFrame(frameKind.create, callId, writeRequest(request)));
  } catch (error) {
    signal.removeEventListener("abort", onAbort);
    calls.discard(callId);
    throw error;
  }
  const source = inputs[Symbol.asyncIterator]();
  const feeding = (async () => {
    for (;;) {
      const { done, value } = await source.next();
      if (done === true || isOver) return;
      if (!(await window.take())) return;
      send(encodeFrame(frameKind.write, callId, writeInput(value)));
      if (value.last) return;
    }
  })().catch((error: unknown) => results.end(ServingError.from(error)));
  try {
    yield* results.read();
  } finally {
    signal.removeEventListener("abort", onAbort);
    window.close();
    if (!isOver) {
      calls.cancel(callId);
      send(encodeFrame(frameKind.cancel, callId));
    }
    // The input may be waiting for a chunk that never comes: it is closed, not awaited.
    void feeding.then(() => source.return?.());
  }
}

interface ResultQueue {
  push(result: EngineResult): void;
  end(error?: ServingError): void;
  read(): AsyncGenerator<EngineResult>;
}

/** Builds an empty queue. `onTaken` hears, now and then, how many results were read since it heard last. */
function createResultQueue(onTaken: (count: number) => void): ResultQueue {
  const waiting: EngineResult[] = [];
  let taken = 0;
  const noteTaken = (): void => {
    taken += 1;
    if (taken < takenStep) return;
    onTaken(taken);
    taken = 0;
  };
  let ended: { readonly error: ServingError | undefined } | undefined;
  let wake = (): void => {};
  const queue: ResultQueue = {
    push(result) {
      if (ended !== undefined) return;
      waiting.push(result);
      if (waiting.length > maxWaitingResults) {
        queue.end(new ServingError("ENGINE_FAILED", `the session has ${waiting.length} results that nobody reads`));
      }
      wake();
    },
    end(error) {
      ended ??= { error };
      wake();
    },
    async *read() {
      for (;;) {
        const next = waiting.shift();
        if (next !== undefined) {
          noteTaken();
          yield next;
        } else if (ended?.error !== undefined) throw ended.error;
        else if (ended !== undefined) return;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    },
  };
  return queue;
}

interface Window {
  /** Resolves with true when one more chunk may be sent, with false when the session is over. */
  take(): Promise<boolean>;
  acknowledge(): void;
  close(): void;
}

function createWindow(): Window {
  let free = maxUnacknowledged;
  let isClosed = false;
  let wake = (): void => {};
  return {
    async take() {
      while (free === 0 && !isClosed) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      free -= 1;
      return !isClosed;
    },
    acknowledge() {
      free += 1;
      wake();
    },
    close() {
      isClosed = true;
      wake();
    },
  };
}
