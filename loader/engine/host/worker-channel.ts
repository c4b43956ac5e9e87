import type { Socket } from "bun";
import { FrameError } from "./byte-reader.ts";
import { createFrameParser, type Frame, type FrameParser, frameKind } from "./frames.ts";
import { readText } from "./messages.ts";
import { createSocketWriter, type SocketWriter } from "./socket-writer.ts";

/** The connection to one worker, or the wait for it. */
export interface WorkerChannel {
  /** Sends frames to the worker, once it has said HELLO; before that they are lost. */
  send(pieces: readonly Uint8Array[]): void;
  /** Ends the connection and the wait. */
  close(): void;
}

/** What a channel tells. */
export interface ChannelEvents {
  /** The worker has said the secret. Nobody else is let in from here on. */
  onHello(): void;
  /** A frame of the worker's. May throw FrameError, which ends the connection. */
  onFrame(frame: Frame): void;
  /** The worker's connection has ended; with an error, because the worker broke the protocol. */
  onLost(error?: unknown): void;
}

/** The largest frame from who has not said the secret yet. */
const maxHelloBytes = 1024;

interface Connection {
  parser: FrameParser;
  broken?: unknown;
}

/**
 * Waits on a Unix socket for the worker that knows the secret, and passes on its frames. Each connection has a parser of its
 * own, so that a stranger cannot spoil what the worker says.
 */
export function listenForWorker(
  path: string,
  token: string,
  maxFrameBytes: number,
  events: ChannelEvents,
): WorkerChannel {
  let worker: { readonly socket: Socket<Connection>; readonly writer: SocketWriter } | undefined;

  const greet = (socket: Socket<Connection>, frames: readonly Frame[]): void => {
    const [hello] = frames;
    if (hello === undefined) return;
    if (worker !== undefined || hello.kind !== frameKind.hello || readText(hello.body) !== token) {
      throw new FrameError("a stranger on the socket");
    }
    if (frames.length > 1) throw new FrameError("the worker spoke before it was greeted");
    worker = { socket, writer: createSocketWriter(socket) };
    socket.data.parser = createFrameParser(maxFrameBytes);
    // Those that are connected stay so: this only ends the wait for others.
    server.stop();
    events.onHello();
  };

  const server = Bun.listen<Connection>({
    unix: path,
    socket: {
      open(socket) {
        socket.data = { parser: createFrameParser(maxHelloBytes) };
      },
      data(socket, chunk) {
        try {
          const frames = socket.data.parser.push(chunk);
          if (worker?.socket !== socket) greet(socket, frames);
          else for (const frame of frames) events.onFrame(frame);
        } catch (error) {
          socket.data.broken = error;
          socket.terminate();
        }
      },
      drain(socket) {
        if (worker?.socket === socket) worker.writer.onDrain();
      },
      close(socket) {
        if (worker?.socket === socket) events.onLost(socket.data.broken);
      },
      // What ends a connection is told by its close.
      error() {},
    },
  });
  return {
    send: (pieces) => worker?.writer.send(pieces),
    close() {
      worker?.socket.terminate();
      server.stop(true);
    },
  };
}
