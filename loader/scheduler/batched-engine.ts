import type { BatchCall, Engine, EngineDescription, EngineResult } from "../engine/engine.ts";
import { type Batcher, createBatcher } from "./batcher.ts";
import { type RequestRows, rowsFromRequest } from "./rows.ts";

/** What {@link createBatchedEngine} is told beside its engine. */
export interface BatchedEngineOptions {
  /** Groups that the engine computes at once. */
  readonly lanes: number;
  /** What the engine's `maxBatchRows` counts; rows unless told. */
  readonly batchUnit?: "rows" | "requests" | undefined;
  /** How long a call may wait for others; undefined: what the engine tells. */
  readonly maxDelayMs: number | undefined;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
  /** Told of each group when it has been computed. */
  readonly onGroup: (rows: number, tookMs: number) => void;
}

/** Of an engine that does not tell it. */
const defaultMaxDelayMs = 5;

/** How a request counts for code that gets a list of requests: what their tensors are like is its own matter. */
const oneRequest: RequestRows = { rows: 1, key: "" };

/** The same engine; when it tells that it can, once-calls of several callers are computed together. */
export function createBatchedEngine(engine: Engine, options: BatchedEngineOptions): Engine {
  let batching: { readonly batcher: Batcher<BatchCall, EngineResult>; readonly told: EngineDescription } | undefined;
  return {
    ...engine,
    async start(signal) {
      const told = await engine.start(signal);
      const compute = engine.inferBatch;
      if (told !== undefined && told.maxBatchRows > 1 && compute !== undefined) {
        const maxDelayMs = options.maxDelayMs ?? told.maxBatchDelayMs ?? defaultMaxDelayMs;
        batching = { told, batcher: createBatcher({ ...options, maxDelayMs, maxRows: told.maxBatchRows, compute }) };
      }
      return told;
    },
    async infer(request, signal, timeoutMs) {
      // What depends on one user's resources has nothing in common with other requests.
      if (batching === undefined || request.resourceIds.length > 0) return engine.infer(request, signal, timeoutMs);
      const { rows, key } = options.batchUnit === "requests" ? oneRequest : rowsFromRequest(request, batching.told);
      return batching.batcher.run({ call: { request, signal }, rows, key, signal });
    },
  };
}
