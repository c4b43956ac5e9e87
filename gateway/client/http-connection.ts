import type { Socket } from "bun";
import { createResponseReader, type HttpResponse } from "./http-response.ts";

/** Where a connection leads. */
export type SocketAddress = { readonly hostname: string; readonly port: number } | { readonly unix: string };

/** Thrown when no connection came about: nothing of the request left. */
export class NotConnectedError extends Error {
  override readonly name = "NotConnectedError";
}

/** A keep-alive connection that carries one request at a time. */
export interface HttpConnection {
  /** Sends a request, head and body in one piece, and resolves with its response. Rejects with Error when it breaks. */
  exchange(request: Uint8Array): Promise<HttpResponse>;
  /** Breaks it off; a request under way rejects. */
  close(): void;
  /** Whether it can carry another request. */
  readonly isOpen: boolean;
}

/**
 * Opens a connection. A socket of our own instead of fetch, which hands each call to another thread and back
 * (docs/decisions/0007-own-http-client.md).
 *
 * @throws NotConnectedError
 */
export async function openConnection(address: SocketAddress, maxResponseBytes: number): Promise<HttpConnection> {
  const reader = createResponseReader(maxResponseBytes);
  let waiting: PromiseWithResolvers<HttpResponse> | undefined;
  let unsent: Uint8Array | undefined;
  let isOpen = true;

  const end = (error: Error): void => {
    isOpen = false;
    waiting?.reject(error);
    waiting = undefined;
    unsent = undefined;
  };
  const flush = (socket: Socket<undefined>): void => {
    if (unsent === undefined) return;
    const written = socket.write(unsent);
    if (written < 0) return;
    unsent = written < unsent.length ? unsent.subarray(written) : undefined;
  };
  const onData = (socket: Socket<undefined>, chunk: Uint8Array): void => {
    try {
      if (waiting === undefined) throw new Error("bytes came that nobody asked for");
      const response = reader.push(chunk);
      if (response === undefined) return;
      // An answer before the whole request has left ends the connection: the rest would be taken for another request.
      if (!response.isKeptAlive || unsent !== undefined) isOpen = false;
      const { resolve } = waiting;
      waiting = undefined;
      if (!isOpen) socket.terminate();
      resolve(response);
    } catch (error) {
      end(error instanceof Error ? error : new Error(String(error)));
      socket.terminate();
    }
  };
  const handlers = {
    data: onData,
    drain: flush,
    close: () => end(new Error("the connection was closed")),
    error: (_: Socket<undefined>, error: Error) => end(error),
  };
  const socket = await open(address, handlers);
  return {
    get isOpen() {
      return isOpen;
    },
    exchange(request) {
      if (!isOpen) return Promise.reject(new Error("the connection is closed"));
      waiting = Promise.withResolvers();
      unsent = request;
      const { promise } = waiting;
      flush(socket);
      return promise;
    },
    close() {
      end(new Error("the connection was broken off"));
      socket.terminate();
    },
  };
}

async function open(address: SocketAddress, handlers: Bun.SocketHandler<undefined>): Promise<Socket<undefined>> {
  try {
    if ("unix" in address) return await Bun.connect<undefined>({ unix: address.unix, socket: handlers });
    const socket = await Bun.connect<undefined>({ hostname: address.hostname, port: address.port, socket: handlers });
    socket.setNoDelay(true);
    return socket;
  } catch (cause) {
    throw new NotConnectedError("no connection came about", { cause });
  }
}
