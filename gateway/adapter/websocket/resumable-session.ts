import { randomBytes, timingSafeEqual } from "node:crypto";
import { ServingError } from "../../../proto/errors.ts";
import type { Carrier, ConnectionSession, SessionSetup } from "./connection-session.ts";
import type { FrameTag } from "./frame-codec.ts";
import { createReplayLog, type ReplayLimits } from "./replay-log.ts";
import { createReplayer } from "./replayer.ts";
import { runSession } from "./run-session.ts";

/** A session that outlives its connection for a while. */
export interface ResumableSession extends ConnectionSession {
  readonly cid: string | undefined;
  /** Whether the token is the one that the client was given. */
  knows(token: string): boolean;
  /**
   * Goes on over another connection, from the frame after `ack`; the one before is told. False where that cannot be: the
   * client asks for frames that it has acknowledged, or never got.
   */
  attach(carrier: Carrier, ack: number): boolean;
}

/** What bounds the memory of resumable sessions. */
export interface ResumeLimits extends ReplayLimits {
  /** How long a session waits for its client to come back. */
  readonly windowMs: number;
}

/** What {@link beginResumable} is told. */
export interface ResumableOptions {
  readonly setup: SessionSetup;
  readonly cid: string | undefined;
  readonly carrier: Carrier;
  readonly limits: ResumeLimits;
  /** Told when the session is of no use any more. */
  readonly onForgotten: (session: ResumableSession) => void;
}

/** After as many of the client's frames it is told that they were taken in, though there is no result to say it with. */
const acknowledgeEvery = 16;

/** Begins a session on a connection. Its frames are numbered, and kept until they are acknowledged. */
export function beginResumable({ setup, cid, carrier, limits, onForgotten }: ResumableOptions): ResumableSession {
  const token = randomBytes(16).toString("base64url");
  const log = createReplayLog(limits);
  const replayer = createReplayer(log, carrier);
  const input = createInputCount();
  const tag = (seq?: number): FrameTag => ({ sid: run.sid, cid, seq, ack: input.acknowledge() });
  let numbered = 0;
  let isOver = false;

  const forget = createForgetting(limits.windowMs, (error) => {
    const left = replayer.detach();
    abort(error);
    left?.onForgotten();
    onForgotten(session);
  });
  const run = runSession({
    ...setup,
    resumeToken: token,
    tag() {
      numbered += 1;
      return tag(numbered);
    },
    deliver(data) {
      log.add(data);
      replayer.go();
      return log.room();
    },
    onEnd(error) {
      isOver = true;
      replayer.end(error);
      // Its last frames are kept in case that they were lost on the way.
      forget.unlessResumed();
    },
  });
  const abort = (error: ServingError): void => {
    run.abort(error);
    // It may be waiting for room, and has its last word to say.
    log.open();
  };
  const session: ResumableSession = {
    sid: run.sid,
    cid,
    get isOver() {
      return isOver;
    },
    knows: (given) => given.length === token.length && timingSafeEqual(Buffer.from(given), Buffer.from(token)),
    take({ ack = 0, seq, frame }, bytes) {
      try {
        if (ack > replayer.sent) throw violation(`'$.header.ack' must be at most ${replayer.sent}, got ${ack}`);
        log.acknowledge(ack);
        if (isOver && log.acknowledged === log.last) forget.now(new ServingError("CANCELED", "the session is over"));
        if (frame === undefined || !input.isNext(seq)) return;
        run.push(frame, bytes);
        if (input.unacknowledged >= acknowledgeEvery) replayer.say(setup.codec.acknowledged(tag()));
      } catch (thrown) {
        abort(ServingError.from(thrown));
      }
    },
    abort,
    lose(error, isForGood) {
      replayer.detach();
      if (isForGood) forget.now(error);
      else forget.unlessResumed();
    },
    attach(next, ack) {
      if (forget.isDone || ack < log.acknowledged || ack > replayer.sent) return false;
      replayer.detach()?.onTakenOver();
      if (isOver) forget.unlessResumed();
      else forget.never();
      replayer.attach(next, setup.codec.opened(tag(), token), ack);
      return true;
    },
  };
  return session;
}

/** Forgets a session, once, now or when its client does not come back in time. */
function createForgetting(windowMs: number, run: (error: ServingError) => void) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isDone = false;
  const now = (error: ServingError): void => {
    clearTimeout(timer);
    if (isDone) return;
    isDone = true;
    run(error);
  };
  return {
    get isDone() {
      return isDone;
    },
    now,
    never: () => clearTimeout(timer),
    unlessResumed(): void {
      clearTimeout(timer);
      if (isDone) return;
      timer = setTimeout(now, windowMs, new ServingError("CANCELED", "the client did not come back"));
    },
  };
}

/** Sees that each of a client's frames is taken once, in order. */
function createInputCount() {
  let last = 0;
  let told = 0;
  return {
    /** Whether this is the next; false for one that came before. Throws for one that leaves a hole. */
    isNext(seq: number | undefined): boolean {
      if (seq === undefined) throw violation("'$.header.seq' is required with resume=true");
      if (seq <= last) return false;
      if (seq > last + 1) throw violation(`'$.header.seq' must be ${last + 1}, got ${seq}`);
      last = seq;
      return true;
    },
    /** The number of the last that was taken; the client is told it now. */
    acknowledge(): number {
      told = last;
      return last;
    },
    get unacknowledged() {
      return last - told;
    },
  };
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}
