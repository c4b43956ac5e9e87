import type { Socket } from "bun";
import { createResponseParser, type HttpResponse } from "./http-response.ts";
import type { Address } from "./target.ts";

/** One keep-alive connection that carries one request at a time. */
export interface HttpConnection {
  /** Sends a request and resolves with its response. Rejects with Error when the connection breaks first. */
  send(request: Uint8Array): Promise<HttpResponse>;
  close(): void;
}

/**
 * Opens a connection. Raw sockets instead of fetch, because a generator that costs more than the server it measures would
 * measure itself.
 *
 * @throws Error when nothing listens there.
 */
export async function connect(address: Address): Promise<HttpConnection> {
  const parser = createResponseParser();
  let waiting: PromiseWithResolvers<HttpResponse> | undefined;
  let unsent: Uint8Array = new Uint8Array();
  const flush = (socket: Socket): void => {
    unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
  };
  const fail = (message: string): void => {
    waiting?.reject(new Error(message));
    waiting = undefined;
  };
  const handlers = {
    data(_socket: Socket, chunk: Uint8Array) {
      for (const response of parser.push(chunk)) {
        waiting?.resolve(response);
        waiting = undefined;
      }
    },
    drain: flush,
    close: () => fail("the connection was closed"),
    error: (_socket: Socket, error: Error) => fail(error.message),
  };
  const socket = await ("unix" in address
    ? Bun.connect({ unix: address.unix, socket: handlers })
    : Bun.connect({ hostname: address.hostname, port: address.port, socket: handlers }));
  return {
    send(request) {
      waiting = Promise.withResolvers();
      unsent = request;
      flush(socket);
      return waiting.promise;
    },
    close: () => socket.end(),
  };
}
