import type { FrameData } from "./frame-codec.ts";
import { createLiveness } from "./liveness.ts";
import { createOutbox, type Outbox, type SendingSocket } from "./outbox.ts";

/** The part of a socket that a connection needs. */
export interface ConnectionSocket extends SendingSocket {
  ping(): void;
  close(code: number, reason: string): void;
  terminate(): void;
}

/** The socket of one connection, from before it opens until after it has closed. */
export interface Link {
  /** False before it opens, and from the moment that either side closes it. */
  readonly isOpen: boolean;
  open(socket: ConnectionSocket): void;
  /** Something came from its client. */
  heard(): void;
  /** Whether its client is found to be gone; asked as often as {@link Liveness.tick}, and pings it meanwhile. */
  isGone(): boolean;
  /** As {@link Outbox.send}; what is sent while it is not open goes nowhere. */
  send(data: FrameData): Promise<void> | undefined;
  /** The socket has sent what it had. */
  drained(): void;
  /** Closes it as soon as its client has taken what was sent. */
  close(code: number, reason: string): void;
  /** Breaks it off: its client does not read. */
  cut(): void;
  /** The socket is closed. */
  closed(): void;
}

/** What {@link createLink} is told. */
export interface LinkOptions {
  /** How long a client may read nothing while something waits for it. */
  readonly slowReaderTimeoutMs: number;
  /** Told of a client that does not read, before the link is cut. */
  readonly onSlowReader: () => void;
}

/** Builds a link that is not open yet. */
export function createLink({ slowReaderTimeoutMs, onSlowReader }: LinkOptions): Link {
  let socket: ConnectionSocket | undefined;
  let outbox: Outbox | undefined;
  let isClosing = false;
  const liveness = createLiveness();
  const leave = (): ConnectionSocket | undefined => {
    const left = socket;
    socket = undefined;
    outbox?.close();
    return left;
  };
  const link: Link = {
    get isOpen() {
      return socket !== undefined && !isClosing;
    },
    open(opened) {
      socket = opened;
      outbox = createOutbox({
        socket: opened,
        slowReaderTimeoutMs,
        onSent: liveness.sent,
        onSlowReader() {
          onSlowReader();
          link.cut();
        },
      });
    },
    heard: liveness.heard,
    isGone() {
      // Who does not read what waits has a time of its own, and reads no ping before the rest.
      if (socket === undefined || outbox?.isBlocked === true) return false;
      const due = liveness.tick();
      if (due === "ping") socket.ping();
      return due === "cut";
    },
    send: (data) => (isClosing ? undefined : outbox?.send(data)),
    drained() {
      liveness.heard();
      outbox?.drained();
    },
    close(code, reason) {
      if (isClosing) return;
      isClosing = true;
      // Closed at once, a socket drops what its client does not read within some seconds.
      const sending = outbox?.settled();
      if (sending === undefined) leave()?.close(code, reason);
      else void sending.then(() => leave()?.close(code, reason));
    },
    cut() {
      isClosing = true;
      leave()?.terminate();
    },
    closed() {
      isClosing = true;
      leave();
    },
  };
  return link;
}
