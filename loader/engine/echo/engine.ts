import { createCallScope } from "../../../proto/call-scope.ts";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Engine } from "../engine.ts";
import { untilAborted } from "../until-aborted.ts";

/**
 * Builds the engine that gives back what it gets. The parameters `delayMs` and `failWith` make it slow or fail, so that
 * callers see how that looks.
 */
export function createEchoEngine(): Engine {
  const stopping = new AbortController();
  let isStarted = false;
  const assertRunning = (): void => {
    if (isStarted && !stopping.signal.aborted) return;
    throw new ServingError("SERVICE_NOT_READY", "the echo engine does not run");
  };
  const behave = async (request: InferRequest, signal: AbortSignal): Promise<void> => {
    assertRunning();
    signal.throwIfAborted();
    const { delayMs, failWith } = request.parameters;
    if (delayMs !== undefined) await pause(Number(delayMs), signal, stopping.signal);
    if (failWith === "refusal") throw new ServingError("INVALID_INPUT", "payload.data was refused, as asked for");
    if (failWith === "error") throw new ServingError("ENGINE_FAILED", "the engine failed, as asked for");
  };
  return {
    async start() {
      isStarted = true;
      return undefined;
    },
    async infer(request, signal) {
      await behave(request, signal);
      return { parts: request.parts, status: Status.ONCE };
    },
    async *stream(request, inputs, signal) {
      assertRunning();
      let status = Status.BEGIN;
      using scope = createCallScope(signal, stopping.signal);
      for await (const input of untilAborted(inputs, scope.signal)) {
        await behave(request, signal);
        yield { parts: input.parts, status: input.last ? Status.END : status };
        status = Status.CONTINUE;
        if (input.last) return;
      }
    },
    async stop() {
      stopping.abort(new ServingError("SERVICE_NOT_READY", "the echo engine was stopped"));
    },
  };
}

/** Waits; rejects with the reason of the first signal that aborts. Keeps nothing at a signal that outlives the wait. */
function pause(delayMs: number, ...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(signals.find(({ aborted }) => aborted)?.reason);
    };
    const timer = setTimeout(() => {
      end();
      resolve();
    }, delayMs);
    for (const signal of signals) signal.addEventListener("abort", onAbort, { once: true });
    if (signals.some(({ aborted }) => aborted)) onAbort();
  });
}
