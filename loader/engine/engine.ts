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
  /**
   * Answers one request. `request.expects` is complete: the caller's wishes merged with the definition's outputs. After
   * `timeoutMs`, where it is told, the signal aborts by itself: for engines that pass the deadline on.
   */
  infer(request: InferRequest, signal: AbortSignal, timeoutMs?: number): Promise<EngineResult>;
  /**
   * Answers several requests that are computed together; only for an engine that told `maxBatchRows`. One outcome for
   * each, in their order: one that fails does not fail the others.
   */
  inferBatch?(calls: readonly BatchCall[]): Promise<readonly PromiseSettledResult<EngineResult>[]>;
  /**
   * Runs a session. `request` opens it; its own parts are not in `inputs`. Results are pulled: an engine that is ahead
   * of its reader waits, with a bounded buffer. Leaving the loop early ends the session. `timeoutMs` as for infer.
   */
  stream(
    request: InferRequest,
    inputs: AsyncIterable<EngineInput>,
    signal: AbortSignal,
    timeoutMs?: number,
  ): AsyncIterable<EngineResult>;
  /** Personal resources; only for an engine that takes them. */
  readonly resources?: EngineResources | undefined;
  /** Ends everything that the engine started, calls in flight included. Never rejects; may be called at any time. */
  stop(): Promise<void>;
}

/** One of several requests that are computed together, and its own signal. */
export interface BatchCall {
  readonly request: InferRequest;
  readonly signal: AbortSignal;
}

/** Data that one user's requests need and name by its id, such as hot words or a voice. */
export interface LoadedResource {
  /** From 1 to 4,294,967,295. */
  readonly id: number;
  readonly parts: readonly Part[];
  /** Of all of its parts' data. */
  readonly bytes: number;
}

/**
 * The personal resources of an engine: whatever computes a call has every one of them, also when it was started later. A
 * call that names one that is not loaded fails with RESOURCE_NOT_FOUND.
 */
export interface EngineResources {
  /**
   * Loads one; one that has its id already is unloaded first. When it cannot be loaded everywhere it is loaded nowhere,
   * and the old one is gone too. Throws ServingError: what the user's code says to it, SERVICE_BUSY when there are as many
   * as there may be.
   */
  load(id: number, parts: readonly Part[], signal: AbortSignal): Promise<void>;
  /**
   * Takes one out when the calls that name it are over; no new one is let in meanwhile. It is gone also when the user's code
   * answers with an error, which is thrown. Throws ServingError RESOURCE_NOT_FOUND, SERVICE_BUSY when calls go on with it until the
   * signal aborts.
   */
  unload(id: number, signal: AbortSignal): Promise<void>;
  find(id: number): LoadedResource | undefined;
  list(): readonly LoadedResource[];
}

/** What the resources of one engine are bounded by. */
export interface ResourceLimits {
  readonly maxCount: number;
  /** Of all of their data. */
  readonly maxBytes: number;
  /** How long one may take to be loaded or unloaded. */
  readonly timeoutMs: number;
}

/** How an engine tells, at any time after start, that it can or cannot take calls. */
export type EngineHealth = { readonly ready: true } | { readonly ready: false; readonly reason: string };
