import type { FrameData } from "./frame-codec.ts";

/** The part of a socket that sending needs. */
export interface SendingSocket {
  /** Above 0: sent. -1: taken, but the client does not keep up. 0: the socket is closed. */
  sendText(data: string): number;
  sendBinary(data: Uint8Array<ArrayBuffer>): number;
  /** Bytes that were taken and have not left. */
  getBufferedAmount(): number;
}

/** Sends the frames of one connection at the pace at which its client reads. */
export interface Outbox {
  /** Whether something waits for the client to read. */
  readonly isBlocked: boolean;
  /** Sends one frame when the client keeps up; undefined when it went out at once. Never rejects. */
  send(data: FrameData): Promise<void> | undefined;
  /** The socket has sent what it had. */
  drained(): void;
  /** Resolves when the client has taken everything, or the outbox is closed; undefined when it has now. */
  settled(): Promise<void> | undefined;
  /** Nothing more is sent, and nobody waits. */
  close(): void;
}

/** What {@link createOutbox} is told. */
export interface OutboxOptions {
  readonly socket: SendingSocket;
  /** How long a client may read nothing while something waits for it. */
  readonly slowReaderTimeoutMs: number;
  /** Told when the client does not read; the connection is of no use any more. */
  readonly onSlowReader: () => void;
  /** Told when something goes out. */
  readonly onSent: () => void;
}

/** Builds the outbox of one connection. */
export function createOutbox(options: OutboxOptions): Outbox {
  const { socket, slowReaderTimeoutMs, onSlowReader, onSent } = options;
  let isClosed = false;
  let blocked: PromiseWithResolvers<void> | undefined;
  let watch: ReturnType<typeof setTimeout> | undefined;

  const watchProgress = (unsent: number): void => {
    watch = setTimeout(() => {
      const left = socket.getBufferedAmount();
      if (left < unsent) watchProgress(left);
      else onSlowReader();
    }, slowReaderTimeoutMs);
  };
  const transmit = (data: FrameData): void => {
    if (isClosed) return;
    onSent();
    // Bytes of our own are never in shared memory, which the type would allow.
    const bytes = data as Uint8Array<ArrayBuffer>;
    const sent = typeof data === "string" ? socket.sendText(data) : socket.sendBinary(bytes);
    if (sent !== -1 || blocked !== undefined) return;
    blocked = Promise.withResolvers();
    watchProgress(socket.getBufferedAmount());
  };
  const release = (): void => {
    clearTimeout(watch);
    blocked?.resolve();
    blocked = undefined;
  };
  const settle = async (): Promise<void> => {
    while (blocked !== undefined) await blocked.promise;
  };
  const sendWhenDrained = async (data: FrameData): Promise<void> => {
    await settle();
    transmit(data);
  };
  return {
    get isBlocked() {
      return blocked !== undefined;
    },
    send(data) {
      if (blocked !== undefined) return sendWhenDrained(data);
      transmit(data);
      return undefined;
    },
    drained: release,
    settled: () => (blocked === undefined ? undefined : settle()),
    close() {
      isClosed = true;
      release();
    },
  };
}
