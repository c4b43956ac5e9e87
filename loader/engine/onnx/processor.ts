import type * as ort from "onnxruntime-node";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { PartTypeName } from "../../../proto/part-type.ts";
import type { EngineDescription } from "../engine.ts";

/** What a processor is given when its worker process starts. */
export interface ProcessorContext {
  /** The `engine.options` of the service definition, unchecked: the processor checks what it reads. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Execution provider and thread counts, from the service definition; for every session that the processor creates. */
  readonly sessionOptions: ort.InferenceSession.SessionOptions;
  /** The service's folder, absolute. */
  readonly folder: string;
  /** The ONNX file that `engine.model` means, absolute; undefined when the definition names none. */
  readonly model: string | undefined;
  /** The most rows that may be computed together, from the service definition; undefined: the processor decides. */
  readonly maxBatchRows: number | undefined;
  /** Loads an ONNX file, `engine.model` unless told, relative to the service's folder, with the session options. */
  createSession(file?: string): Promise<ort.InferenceSession>;
  /** The runtime, for its Tensor, so that a service's module need not install it. */
  readonly ort: typeof ort;
  /** One piece of an answer; text is encoded as UTF-8. */
  part(
    name: string,
    type: PartTypeName,
    data: string | Uint8Array,
    attributes?: Readonly<Record<string, string>>,
  ): Part;
  /** The error that tells a caller what is wrong with the data; `message` names the field. */
  refusal(message: string): Error;
}

/**
 * Pre- and post-processing around ONNX sessions, in the worker process that owns them. It is called once at a time, and
 * may block that process: nothing else runs there.
 */
export interface OnnxProcessor {
  /** What it knows about its service, so that service.yaml need not say it. */
  readonly description?: EngineDescription;
  /** Answers one request; `request.expects` is complete. Throws {@link ProcessorContext.refusal}'s error for data that it cannot use. */
  infer(request: InferRequest): Promise<Part[]>;
  /**
   * Answers several requests that are computed together, one outcome for each in their order. For a processor whose
   * description has `maxBatchRows`.
   */
  inferBatch?(requests: readonly InferRequest[]): Promise<readonly PromiseSettledResult<Part[]>[]>;
  release(): Promise<void>;
}

/** Loads the models and runs each once, so that the first request does not pay for it. Reports its progress in a few words. */
export type CreateOnnxProcessor = (
  context: ProcessorContext,
  report: (progress: string) => void,
) => Promise<OnnxProcessor>;
