import type { ServingError } from "../../../proto/errors.ts";
import type { InferResponse } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { CompiledService } from "../../schema/compile.ts";
import type { SessionFrame } from "../../types.ts";

/** What goes over the socket: a text frame or a binary one. */
export type FrameData = string | Uint8Array;

/** A frame of a client's, read. */
export interface ClientFrame {
  /** Which of the connection's sessions it is for; undefined where it does not say. */
  readonly cid: string | undefined;
  /** What it adds to its session; undefined for a frame that only acknowledges or resumes. */
  readonly frame: SessionFrame | undefined;
  /** Whether it may begin a session, and whether it can be nothing else. */
  readonly mayOpen: boolean;
  readonly mustOpen: boolean;
  /** Its number among the client's frames of its session, where the session can be resumed. */
  readonly seq: number | undefined;
  /** The number of the last frame of the gateway's that the client has. */
  readonly ack: number | undefined;
  /** The session that it takes up again. */
  readonly resume: { readonly sid: string; readonly token: string } | undefined;
}

/** What every frame of a session's says beside its content. */
export interface FrameTag {
  readonly sid: string;
  readonly cid: string | undefined;
  readonly seq: number | undefined;
  readonly ack: number | undefined;
}

/** One way to write sessions into frames. */
export interface FrameCodec {
  /** For the access log. */
  readonly protocol: string;
  /** Throws ServingError MALFORMED_ENVELOPE or SCHEMA_VIOLATION. `service` is the service that the path means. */
  decode(data: string | Buffer, service: string): ClientFrame;
  /** One result. */
  result(service: CompiledService, response: InferResponse, status: number, tag: FrameTag): FrameData;
  /** The word that the session is open, or was taken up again. */
  opened(tag: FrameTag, resumeToken: string | undefined): FrameData;
  /** The word that the client's frames were taken in. */
  acknowledged(tag: FrameTag): FrameData;
  /** The session's last word when it has failed. */
  error(error: ServingError, tag: FrameTag): FrameData;
}
