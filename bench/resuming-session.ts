import type { InFrame, OutFrame } from "./resuming-wire.ts";

/** One session of the service echo at a client that takes it up again, as docs/websocket.md says. */
export interface ResumingSession {
  readonly isDone: boolean;
  /** Whether it can be taken up again. */
  readonly hasToken: boolean;
  /** The texts of its results so far. */
  readonly results: readonly string[];
  /** There is a new connection: takes the session up again, or begins it anew while it has no token. */
  begin(send: (frame: OutFrame) => void): void;
  /** Takes a frame of the gateway's. Throws what is wrong with it. */
  take(frame: InFrame): void;
}

/** How many frames it sends ahead of their acknowledgement. */
const window = 8;
/** After so many of the gateway's frames it says that it has them, though it has nothing else to say. */
const acknowledgeEvery = 16;

/** What {@link createResumingSession} is told. */
export interface ResumingSessionOptions {
  readonly cid: string | undefined;
  /** What it sends, a frame for each. */
  readonly texts: readonly string[];
  /** Sends what it knows of no acknowledgement for again without waiting for one, so that some of it comes twice. */
  readonly isHasty: boolean;
}

/** Builds a session that sends some texts. */
export function createResumingSession({ cid, texts, isHasty }: ResumingSessionOptions): ResumingSession {
  const results: string[] = [];
  let send: (frame: OutFrame) => void = () => {};
  let token: string | undefined;
  let sid = "";
  let received = 0;
  let acknowledged = 0;
  let sent = 0;
  let isDone = false;

  const sendMore = (): void => {
    while (sent < texts.length && sent - acknowledged < window) {
      sent += 1;
      const text = texts[sent - 1] ?? "";
      send({ kind: "data", cid, seq: sent, ack: received, text, isLast: sent === texts.length });
    }
  };
  const takeTag = ({ sid: named, ack, token: given, seq }: InFrame): void => {
    if (sid !== "" && named !== "" && sid !== named) throw new Error("a frame of another session came");
    if (named !== "") sid = named;
    acknowledged = Math.max(acknowledged, ack);
    // The answer to a resumption: what was not acknowledged is sent again.
    if (given !== undefined && seq === undefined && !isHasty) sent = ack;
    token ??= given;
  };
  const takeNumbered = ({ seq, text, isLast }: InFrame): void => {
    if (seq !== received + 1) throw new Error(`frame ${seq} came after frame ${received}`);
    received = seq;
    if (text !== undefined && text !== "") results.push(text);
    isDone = isLast;
  };
  const acknowledge = (): void => {
    const hasMore = sent < texts.length && sent - acknowledged < window;
    if (isDone || (!hasMore && received % acknowledgeEvery === 0)) send({ kind: "ack", cid, ack: received });
  };
  return {
    get isDone() {
      return isDone;
    },
    get hasToken() {
      return token !== undefined;
    },
    results,
    begin(sendOver) {
      send = sendOver;
      if (token !== undefined) {
        send({ kind: "resume", cid, ack: received, sid, token });
        if (!isHasty) return;
        sent = acknowledged;
        sendMore();
        return;
      }
      // Nothing can have come of a session whose first frame brings the token.
      sent = 0;
      sendMore();
    },
    take(frame) {
      if (frame.error !== undefined) throw new Error(frame.error);
      takeTag(frame);
      if (frame.seq !== undefined) takeNumbered(frame);
      sendMore();
      if (frame.seq !== undefined) acknowledge();
    },
  };
}
