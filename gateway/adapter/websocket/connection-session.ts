import { ServingError } from "../../../proto/errors.ts";
import type { Caller } from "../../admission/admission.ts";
import type { SessionPipeline } from "../../session-pipeline.ts";
import type { Call } from "../../types.ts";
import type { ClientFrame, FrameCodec, FrameData } from "./frame-codec.ts";
import type { InboxLimits } from "./inbox.ts";
import { runSession } from "./run-session.ts";

/** One session as its connection knows it. */
export interface ConnectionSession {
  readonly sid: string;
  /** Whether it has ended, and is kept only in case that its last frames have to be sent again. */
  readonly isOver: boolean;
  /** Takes a frame of the client's. */
  take(frame: ClientFrame, bytes: number): void;
  /** Ends it with this error, which its client is told. */
  abort(error: ServingError): void;
  /** Its connection is gone: for good, or perhaps not. */
  lose(error: ServingError, isForGood: boolean): void;
}

/** What carries a session's frames to its client. */
export interface Carrier {
  send(data: FrameData): Promise<void> | undefined;
  /** The session has ended, and its last frame was sent. */
  onEnd(error: ServingError | undefined): void;
  /** The client takes the session up on another connection. */
  onTakenOver(): void;
  /** The session is over, and there is nothing left that its client could want of it. */
  onForgotten(): void;
}

/** What every session of one connection has in common. */
export interface SessionSetup {
  readonly sessions: SessionPipeline;
  /** The request that opened the connection. */
  readonly call: Omit<Call, "signal">;
  /** Who opened it. */
  readonly caller: Caller;
  readonly codec: FrameCodec;
  readonly limits: InboxLimits;
}

/** Begins a session that ends with its connection. */
export function beginSession(setup: SessionSetup, cid: string | undefined, carrier: Carrier): ConnectionSession {
  let isOver = false;
  const { sid, push, abort } = runSession({
    ...setup,
    tag: () => ({ cid, seq: undefined, ack: undefined }),
    deliver: (data) => carrier.send(data),
    onEnd(error) {
      isOver = true;
      carrier.onEnd(error);
      carrier.onForgotten();
    },
  });
  return {
    sid,
    get isOver() {
      return isOver;
    },
    take({ frame }, bytes) {
      if (frame !== undefined) push(frame, bytes);
    },
    abort,
    lose: abort,
  };
}

/** The error of a session whose client is gone. */
export function hungUpError(): ServingError {
  return new ServingError("CANCELED", "the client hung up");
}
