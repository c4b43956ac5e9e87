import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { DeclaredParts } from "../assert-declared.ts";
import type { EngineDescription, EngineInput, EngineResult } from "../engine.ts";

/**
 * How one kind of model server is talked to. Every rejection is a ServingError, with the signal's reason once that has
 * aborted; messages name the service and never the server's address.
 */
export interface RemoteProtocol {
  /** Resolves when the server and its model take calls. Rejects with SERVICE_NOT_READY when they say that they do not. */
  probe(signal: AbortSignal): Promise<void>;
  /** Asks what the model is. */
  describe(signal: AbortSignal): Promise<EngineDescription>;
  infer(request: InferRequest, signal: AbortSignal, timeoutMs: number | undefined): Promise<EngineResult>;
  stream(
    request: InferRequest,
    inputs: AsyncIterable<EngineInput>,
    signal: AbortSignal,
    timeoutMs: number | undefined,
  ): AsyncIterable<EngineResult>;
  /** Closes every connection. */
  close(): void;
}

/** What service.yaml declares of the service, where it does. */
export interface DeclaredService extends DeclaredParts {
  /** JSON Schema of each parameter. */
  readonly parameters?: ParameterSchemas | undefined;
}

/** JSON Schema of each parameter, by its name. */
export type ParameterSchemas = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** What every protocol is created from. */
export interface RemoteProtocolOptions {
  /** The service's id, for messages. */
  readonly service: string;
  readonly declared: DeclaredService;
  /** Where the server listens; paths are appended. */
  readonly url: string;
  readonly model: string;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly idleTimeoutMs: number;
  readonly maxResponseBytes: number;
}
