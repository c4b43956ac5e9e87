import type { ServingError } from "../../../proto/errors.ts";
import type { Carrier } from "./connection-session.ts";
import type { FrameData } from "./frame-codec.ts";
import type { ReplayLog } from "./replay-log.ts";

/** Sends the frames of a log over whichever connection carries their session now, in order. */
export interface Replayer {
  /** The number of the last frame that was ever sent. */
  readonly sent: number;
  /** There may be more to send. */
  go(): void;
  /** Sends a frame that is in no log. */
  say(data: FrameData): void;
  /** No more frames come: the carrier is told when the last was sent, and so is one that comes later. */
  end(error: ServingError | undefined): void;
  /** Sends nothing any more; gives the carrier that it leaves. */
  detach(): Carrier | undefined;
  /** Sends over another one: first a frame that is in no log, then those after `ack`. */
  attach(carrier: Carrier, greeting: FrameData, ack: number): void;
}

/** Builds a replayer that begins with the log's first frame. */
export function createReplayer(log: ReplayLog, first: Carrier): Replayer {
  let carrier: Carrier | undefined = first;
  let sent = 0;
  let cursor = 0;
  let isSending = false;
  let end: { readonly error: ServingError | undefined } | undefined;
  let toldOfEnd: Carrier | undefined;

  const send = async (): Promise<void> => {
    for (;;) {
      // What the client has acknowledged it has, whichever connection it came over.
      cursor = Math.max(cursor, log.acknowledged);
      const data = log.get(cursor + 1);
      if (carrier === undefined || data === undefined) break;
      cursor += 1;
      sent = Math.max(sent, cursor);
      const sending = carrier.send(data);
      if (sending !== undefined) await sending;
    }
    isSending = false;
    if (end === undefined || carrier === undefined || carrier === toldOfEnd) return;
    toldOfEnd = carrier;
    carrier.onEnd(end.error);
  };
  const go = (): void => {
    if (isSending) return;
    isSending = true;
    void send();
  };
  return {
    get sent() {
      return sent;
    },
    go,
    say: (data) => void carrier?.send(data),
    end(error) {
      end = { error };
      go();
    },
    detach() {
      const left = carrier;
      carrier = undefined;
      return left;
    },
    attach(next, greeting, ack) {
      carrier = next;
      cursor = ack;
      log.acknowledge(ack);
      void next.send(greeting);
      go();
    },
  };
}
