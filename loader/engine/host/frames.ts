import { FrameError } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";

/** What a frame is about. Below 64: from loader to worker; from 64 on: from worker to loader. */
export const frameKind = {
  init: 1,
  exec: 2,
  create: 3,
  write: 4,
  cancel: 5,
  loadResource: 6,
  unloadResource: 7,
  stop: 8,
  ping: 9,
  group: 10,
  taken: 11,
  hello: 64,
  progress: 65,
  ready: 66,
  result: 67,
  done: 68,
  failed: 69,
  pong: 70,
  ack: 71,
  meter: 72,
  trace: 73,
} as const;

/** One frame as it came. The body is a view that stays valid. */
export interface Frame {
  readonly kind: number;
  /** The call that it belongs to; 0 for none. */
  readonly callId: number;
  readonly body: Uint8Array;
}

/** Bytes of a frame before its body: u32 length of the rest, u8 kind, u32 call id. */
const headerSize = 9;

/** The bytes of a frame, in pieces that are sent one after the other. */
export function encodeFrame(kind: number, callId: number, body?: ByteWriter): Uint8Array[] {
  const pieces = body?.finish() ?? [];
  const first = pieces[0];
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  // Header and first piece go in one buffer, because a socket write costs more than copying what is small.
  const joined = first !== undefined && first.length < 65_536 ? first : undefined;
  const head = new Uint8Array(headerSize + (joined?.length ?? 0));
  const view = new DataView(head.buffer);
  view.setUint32(0, size + headerSize - 4, true);
  view.setUint8(4, kind);
  view.setUint32(5, callId, true);
  if (joined === undefined) return [head, ...pieces];
  head.set(joined, headerSize);
  return [head, ...pieces.slice(1)];
}

/** Cuts a byte stream into frames. */
export interface FrameParser {
  /** Takes the next bytes and gives the frames that are complete now. Throws FrameError for what cannot be a frame. */
  push(chunk: Uint8Array): Frame[];
}

/**
 * Builds a parser for frames of at most `maxFrameBytes`. A frame that comes in one chunk is a view into it; one that comes
 * in several is put together once, in a buffer of its size.
 */
export function createFrameParser(maxFrameBytes: number): FrameParser {
  let partial = new Uint8Array(0);
  let filled = 0;

  /** Adds to the frame under way; gives the part of the chunk that it did not need. */
  const fill = (chunk: Uint8Array, frames: Frame[]): Uint8Array => {
    let rest = chunk;
    if (filled < 4) {
      const taken = rest.subarray(0, 4 - filled);
      partial.set(taken, filled);
      filled += taken.length;
      rest = rest.subarray(taken.length);
      if (filled < 4) return rest;
      const whole = new Uint8Array(checkedSize(partial, 0, maxFrameBytes));
      whole.set(partial.subarray(0, 4));
      partial = whole;
    }
    const taken = rest.subarray(0, partial.length - filled);
    partial.set(taken, filled);
    filled += taken.length;
    if (filled === partial.length) {
      frames.push(frameAt(partial, 0, partial.length));
      filled = 0;
    }
    return rest.subarray(taken.length);
  };

  return {
    push(chunk) {
      const frames: Frame[] = [];
      let rest = filled > 0 ? fill(chunk, frames) : chunk;
      while (rest.length >= 4) {
        const size = checkedSize(rest, 0, maxFrameBytes);
        if (rest.length < size) break;
        frames.push(frameAt(rest, 0, size));
        rest = rest.subarray(size);
      }
      if (rest.length > 0) {
        partial = new Uint8Array(4);
        fill(rest, frames);
      }
      return frames;
    },
  };
}

/** The size of the frame whose length stands at `start`, its length field included. */
function checkedSize(bytes: Uint8Array, start: number, maxFrameBytes: number): number {
  const size = 4 + new DataView(bytes.buffer, bytes.byteOffset + start, 4).getUint32(0, true);
  if (size < headerSize) throw new FrameError(`a frame of ${size} bytes is too short`);
  if (size > maxFrameBytes) throw new FrameError(`a frame of ${size} bytes is larger than ${maxFrameBytes}`);
  return size;
}

function frameAt(bytes: Uint8Array, start: number, size: number): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, size);
  return {
    kind: view.getUint8(4),
    callId: view.getUint32(5, true),
    body: bytes.subarray(start + headerSize, start + size),
  };
}
