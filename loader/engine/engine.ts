import type { InferRequest, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../proto/gen/athena/v1/part_pb.ts";
import type { ServiceDefinition } from "../../proto/gen/athena/v1/service_pb.ts";

/** One result of an engine: some parts, and where they stand in the answer. */
export interface EngineResult {
  readonly parts: Part[];
  readonly status: Status;
}

/** One chunk of a session's input, already in order. `last` says that no more input comes. */
export interface EngineInput {
  readonly parts: Part[];
  readonly last: boolean;
}

/**
 * What an engine knows about its service by itself, such as a model's tensors or the fields of a wrapper's classes. Fields
 * that are empty are not told; what service.yaml says goes first. `once` and `stream` are told when one of them is true.
 */
export type EngineDescription = Pick<
  ServiceDefinition,
  | "description"
  | "inputs"
  | "outputs"
  | "parametersSchema"
  | "once"
  | "stream"
  | "platform"
  | "maxBatchRows"
  | "maxBatchDelayMs"
>;

/**
 * What computes. An engine knows neither transport nor scheduler: it is called only while a slot is held for the call.
 * Every rejection is a ServingError. A signal that aborts means that nobody waits any more: the engine stops the work
 * as soon as it can and rejects with the signal's reason.
 */
export interface Engine {
  /** Loads the model and warms it up; resolves, with what it tells about itself, when it can answer. Called once. */
  start(signal: AbortSignal): Promise<EngineDescription | undefined>;
  /** Answers one request. `request.expects` is complete: the caller's wishes merged with the definition's outputs. */
  infer(request: InferRequest, signal: AbortSignal): Promise<EngineResult>;
  /**
   * Answers several requests that are computed together; only for an engine that told `maxBatchRows`. One outcome for
   * each, in their order: one that fails does not fail the others.
   */
  inferBatch?(calls: readonly BatchCall[]): Promise<readonly PromiseSettledResult<EngineResult>[]>;
  /**
   * Runs a session. `request` opens it; its own parts are not in `inputs`. Results are pulled: an engine that is ahead
   * of its reader waits, with a bounded buffer. Leaving the loop early ends the session.
   */
  stream(request: InferRequest, inputs: AsyncIterable<EngineInput>, signal: AbortSignal): AsyncIterable<EngineResult>;
  /** Ends everything that the engine started, calls in flight included. Never rejects; may be called at any time. */
  stop(): Promise<void>;
}

/** One of several requests that are computed together, and its own signal. */
export interface BatchCall {
  readonly request: InferRequest;
  readonly signal: AbortSignal;
}

/** How an engine tells, at any time after start, that it can or cannot take calls. */
export type EngineHealth = { readonly ready: true } | { readonly ready: false; readonly reason: string };
