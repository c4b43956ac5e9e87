import type { InferRequest } from "../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../proto/gen/athena/v1/part_pb.ts";
import type { Chosen, DecodedRequest, ServiceTarget } from "./pipeline.ts";
import type { CompiledService } from "./schema/compile.ts";

/** The stages that a protocol has of its own on the streaming line: what the frames of its sessions are, and mean. */
export interface SessionDialect<Request extends DecodedRequest> {
  /** How many bytes of data a frame has, which are charged where its body is not. */
  readonly bytes: (request: Request) => number;
  /** What an opening to a category means; without it the protocol knows no categories. */
  readonly choose?: (category: ServiceTarget, opening: Request) => Chosen<Request> | undefined;
  /** Checks a whole request, for a session that is one. */
  readonly validate: (service: CompiledService, request: Request, sid: string) => InferRequest;
  /** Checks the frame that opens a session, whose inputs may come later. */
  readonly validateOpening: (service: CompiledService, opening: Request, sid: string) => InferRequest;
  readonly validateChunk: (service: CompiledService, chunk: Request) => Part[];
  /** How many milliseconds the opening says that its caller waits for the last result; undefined: as long as the service may take. */
  readonly timeoutMs?: (opening: Request) => number | undefined;
}
