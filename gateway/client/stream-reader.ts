import type { ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { createFrameReader, type StreamFrame } from "../../proto/connect-frames.ts";
import { loadHeader, parseLoad } from "../../proto/metadata.ts";
import type { Endpoint } from "../types.ts";
import type { HeaderReader } from "./connect-error.ts";
import { noteLoad } from "./note-load.ts";

/** The messages of one streamed answer. */
export interface StreamReader {
  /** The next message. Rejects when the stream breaks, and as {@link fail} says. One call at a time. */
  next(): Promise<StreamFrame>;
  /** Ends the waiting: whoever asks from now on is told this. Messages that have come are given first. */
  readonly fail: (reason: unknown) => void;
  /** A header of the answer; undefined before it has come. */
  readonly header: HeaderReader;
}

/**
 * Cancels a stream: its server hears that nobody wants it any more. Closing it, in Bun 1.4.5, would first end its input as
 * if all had been said; destroying it with an error of this name does not.
 */
export function cancelStream(stream: ClientHttp2Stream): void {
  if (!stream.destroyed) stream.destroy(Object.assign(new Error("the call was given up"), abortError));
}

const abortError = { name: "AbortError", code: "ABORT_ERR" };

/** What may have been read and not been asked for: beyond it nothing is read, and the loader has to wait. */
const maxHeldBytes = 131_072;

/** Reads a stream from now on. The load that the answer states goes into the endpoint. */
export function createStreamReader(
  stream: ClientHttp2Stream,
  endpoint: Endpoint,
  maxMessageBytes: number,
  signal: AbortSignal,
): StreamReader {
  const frames = createFrameReader(maxMessageBytes);
  const waiting: StreamFrame[] = [];
  let heldBytes = 0;
  let headers: IncomingHttpHeaders = {};
  let failure: { readonly reason: unknown } | undefined;
  let wake = (): void => {};

  const fail = (reason: unknown): void => {
    failure ??= { reason };
    wake();
  };
  const onResponse = (head: IncomingHttpHeaders & { readonly ":status"?: number }): void => {
    headers = head;
    const type = head["content-type"];
    const header = head[loadHeader];
    noteLoad(endpoint, parseLoad(typeof header === "string" ? header : null));
    if (head[":status"] === 200 && type === "application/connect+proto") return;
    fail(new Error(`not a Connect stream: status ${head[":status"]}, type '${type}'`));
  };
  const onData = (chunk: Uint8Array): void => {
    if (failure !== undefined) return;
    try {
      for (const frame of frames.push(chunk)) {
        waiting.push(frame);
        heldBytes += frame.body.length;
      }
    } catch (error) {
      fail(error);
    }
    if (heldBytes > maxHeldBytes) stream.pause();
    wake();
  };
  const onAbort = (): void => {
    // What has come is of no use to one who has left. The loader hears of it now, whenever the reader asks again.
    waiting.length = 0;
    cancelStream(stream);
    fail(new Error("the call was given up"));
  };
  stream.on("response", onResponse);
  stream.on("data", onData);
  stream.on("error", fail);
  stream.on("close", () => {
    signal.removeEventListener("abort", onAbort);
    fail(new Error("the stream was closed before its end"));
  });
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();

  return {
    fail,
    header(name) {
      const value = headers[name];
      return typeof value === "string" ? value : undefined;
    },
    async next() {
      for (;;) {
        const frame = waiting.shift();
        if (frame !== undefined) {
          heldBytes -= frame.body.length;
          if (waiting.length === 0 && stream.isPaused()) stream.resume();
          return frame;
        }
        if (failure !== undefined) throw failure.reason;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
