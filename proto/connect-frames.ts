/** Thrown for bytes that are not messages of a Connect stream. */
export class FrameSyntaxError extends Error {
  override readonly name = "FrameSyntaxError";
}

/** Thrown for a message that is larger than allowed. */
export class FrameTooLargeError extends Error {
  override readonly name = "FrameTooLargeError";
}

/** One message of a stream, or its end. */
export interface StreamFrame {
  /** The last one: its body is JSON that says how the call ended. */
  readonly isEnd: boolean;
  readonly body: Uint8Array;
}

/** Cuts the bytes of a Connect stream into messages. */
export interface FrameReader {
  /** Takes the next bytes; gives the messages that are complete now. Throws the errors above. */
  push(chunk: Uint8Array): StreamFrame[];
}

const headBytes = 5;
const compressed = 1;
const endOfStream = 2;

/** A message of the Connect protocol's streams: a flag, its length, and the message itself; `isEnd` marks the last one. */
export function encodeFrame(message: Uint8Array, isEnd = false): Uint8Array<ArrayBuffer> {
  const frame = Buffer.allocUnsafeSlow(headBytes + message.length);
  frame[0] = isEnd ? endOfStream : 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, headBytes);
  return frame;
}

/** Builds the reader of one stream. Bodies are parts of the chunks that came where one chunk holds them whole. */
export function createFrameReader(maxMessageBytes: number): FrameReader {
  let pieces: Buffer[] = [];
  let gathered = 0;
  let wanted = headBytes;

  return {
    push(chunk) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      pieces.push(bytes);
      gathered += bytes.length;
      // Joined only when something is complete: a large message comes in many chunks.
      if (gathered < wanted) return [];
      let rest = pieces.length === 1 ? bytes : Buffer.concat(pieces, gathered);
      const frames: StreamFrame[] = [];
      for (wanted = headBytes; rest.length >= wanted; wanted = headBytes) {
        wanted = headBytes + lengthOf(rest, maxMessageBytes);
        if (rest.length < wanted) break;
        frames.push({ isEnd: rest[0] === endOfStream, body: rest.subarray(headBytes, wanted) });
        rest = rest.subarray(wanted);
      }
      pieces = rest.length === 0 ? [] : [rest];
      gathered = rest.length;
      return frames;
    },
  };
}

function lengthOf(head: Buffer, maxMessageBytes: number): number {
  const flags = head[0];
  if (flags === compressed) throw new FrameSyntaxError("a message is compressed, which was not asked for");
  if (flags !== 0 && flags !== endOfStream) throw new FrameSyntaxError(`a message has the unknown flags ${flags}`);
  const length = head.readUInt32BE(1);
  if (length > maxMessageBytes) throw new FrameTooLargeError(`a message has ${length} bytes`);
  return length;
}
