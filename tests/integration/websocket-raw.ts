import { connect } from "node:net";

/** What a raw client says in its handshake, where it is not what it should be. */
export interface Handshake {
  readonly version?: string;
  readonly key?: string;
  /** More header lines, each with its line end. */
  readonly headers?: string;
  /** Bytes right behind the handshake, in the same packet. */
  readonly behind?: Uint8Array;
}

/** A frame of a server's. */
export interface RawFrame {
  readonly first: number;
  readonly payload: Buffer;
}

/** A TCP connection that speaks WebSocket as badly as it is told. */
export interface RawClient {
  /** The head of the answer to its handshake, or what there was of it before the end. */
  readonly head: string;
  readonly isClosed: boolean;
  write(bytes: Uint8Array): void;
  /** Every frame that has come whole. */
  frames(): RawFrame[];
  /** The code of the close frame that has come; undefined when none has. */
  closeCode(): number | undefined;
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>;
  destroy(): void;
}

/** The first byte of a frame: the last of its message, or with more to come. */
export const first = { text: 0x81, textBegins: 0x01, goesOn: 0x00, ends: 0x80, close: 0x88, ping: 0x89, pong: 0x8a };

/** A client's frame, masked with zeros, which leaves the payload as it is. `length` may differ from the truth. */
export function rawFrame(firstByte: number, payload: Uint8Array | string, length?: number, isMasked = true): Buffer {
  const bytes = Buffer.from(payload as string);
  const size = length ?? bytes.length;
  const head = Buffer.alloc(size < 126 ? 2 : size < 65_536 ? 4 : 10);
  head[0] = firstByte;
  head[1] = (isMasked ? 0x80 : 0) | (size < 126 ? size : size < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(size, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(size), 2);
  return Buffer.concat([head, isMasked ? Buffer.alloc(4) : Buffer.alloc(0), bytes]);
}

/** Connects and sends a handshake; resolves when it is answered, or the connection is closed. */
export async function openRaw(url: string, handshake: Handshake = {}): Promise<RawClient> {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  const answered = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let seen = Buffer.alloc(0);
  let isClosed = false;
  const headEnd = (): number => seen.indexOf("\r\n\r\n") + 4;
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk]);
    if (headEnd() > 3) answered.resolve();
  });
  socket.on("close", () => {
    isClosed = true;
    answered.resolve();
    closed.resolve();
  });
  const { version = "13", key = "AAAAAAAAAAAAAAAAAAAAAA==", headers = "", behind = new Uint8Array() } = handshake;
  const lines = `GET ${pathname} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n`;
  const own = `sec-websocket-version: ${version}\r\nsec-websocket-key: ${key}\r\n${headers}\r\n`;
  socket.write(Buffer.concat([Buffer.from(lines + own), behind]));
  await answered.promise;
  const frames = (): RawFrame[] => framesFrom(seen.subarray(Math.max(headEnd(), 4)));
  return {
    head: seen.toString("latin1", 0, Math.max(headEnd(), 4)),
    get isClosed() {
      return isClosed;
    },
    write: (bytes) => void socket.write(bytes),
    frames,
    closeCode: () =>
      frames()
        .find((frame) => frame.first === first.close)
        ?.payload.readUInt16BE(),
    closed: closed.promise,
    destroy: () => void socket.destroy(),
  };
}

function framesFrom(bytes: Buffer): RawFrame[] {
  const frames: RawFrame[] = [];
  let at = 0;
  for (;;) {
    const payload = payloadAt(bytes, at);
    if (payload === undefined) return frames;
    frames.push({ first: bytes[at] ?? 0, payload });
    at = payload.byteOffset - bytes.byteOffset + payload.length;
  }
}

/** The payload of the frame that begins here; undefined where there is no whole one. */
function payloadAt(bytes: Buffer, at: number): Buffer | undefined {
  const short = bytes[at + 1] ?? 0;
  const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
  if (start > bytes.length) return undefined;
  const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
  return start + size > bytes.length ? undefined : bytes.subarray(start, start + size);
}
