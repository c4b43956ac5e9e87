import type { Socket } from "bun";

/** Sends pieces over a socket that may take less than it is given. */
export interface SocketWriter {
  /** Sends the pieces in order, after all that was sent before. They must not change until they have left. */
  send(pieces: readonly Uint8Array[]): void;
  /** The socket can take more. */
  onDrain(): void;
  /** Bytes that wait for the socket. */
  readonly waitingBytes: number;
}

/** Builds the writer of one socket. */
export function createSocketWriter(socket: Pick<Socket<unknown>, "write">): SocketWriter {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  /** The part that the socket did not take. */
  const write = (piece: Uint8Array): Uint8Array => piece.subarray(Math.max(0, socket.write(piece)));
  const flush = (): void => {
    for (let piece = waiting[0]; piece !== undefined; piece = waiting[0]) {
      const rest = write(piece);
      waitingBytes -= piece.length - rest.length;
      if (rest.length > 0) {
        waiting[0] = rest;
        return;
      }
      waiting.shift();
    }
  };
  return {
    send(pieces) {
      for (const piece of pieces) {
        const rest = waiting.length === 0 ? write(piece) : piece;
        if (rest.length === 0) continue;
        waiting.push(rest);
        waitingBytes += rest.length;
      }
    },
    onDrain: flush,
    get waitingBytes() {
      return waitingBytes;
    },
  };
}
