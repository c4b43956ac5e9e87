import type { InferenceSession } from "onnxruntime-node";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";

/** What a processor is given when its worker process starts. */
export interface ProcessorContext {
  /** The `engine.options` of the service definition, unchecked: the processor checks what it reads. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Execution provider and thread counts, from the service definition; for every session that the processor creates. */
  readonly sessionOptions: InferenceSession.SessionOptions;
}

/**
 * Pre- and post-processing around ONNX sessions, in the worker process that owns them. It is called once at a time, and
 * may block that process: nothing else runs there.
 */
export interface OnnxProcessor {
  /** Answers one request; `request.expects` is complete. Throws ServingError INVALID_INPUT, naming the field, for data that it cannot use. */
  infer(request: InferRequest): Promise<Part[]>;
  release(): Promise<void>;
}

/** Loads the models and runs each once, so that the first request does not pay for it. Reports its progress in a few words. */
export type CreateOnnxProcessor = (
  context: ProcessorContext,
  report: (progress: string) => void,
) => Promise<OnnxProcessor>;
