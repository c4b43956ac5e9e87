/** One whole response. */
export interface HttpResponse {
  readonly status: number;
  /** A header's value; the name in lower case. */
  header(name: string): string | undefined;
  readonly body: Uint8Array;
  /** Whether the connection may carry another request. */
  readonly isKeptAlive: boolean;
}

/** Thrown for a body that is larger than allowed. */
export class BodyTooLargeError extends Error {
  override readonly name = "BodyTooLargeError";
}

/** Thrown for an answer that is not HTTP/1.1, or whose end cannot be told from a broken connection. */
export class HttpSyntaxError extends Error {
  override readonly name = "HttpSyntaxError";
}

/** Puts responses together from the bytes of one connection that carries one request at a time. */
export interface ResponseReader {
  /** Takes the next bytes; gives the response when it is complete. Throws the errors above. */
  push(chunk: Uint8Array): HttpResponse | undefined;
}

/** No honest loader's head comes near this. */
const maxHeadBytes = 65_536;
/** A chunk's size in hexadecimal, with room for extensions. */
const maxSizeLineBytes = 1024;

interface Head {
  readonly text: string;
  readonly status: number;
}

/** Gathers one body. */
interface BodyReader {
  /** Takes bytes; gives those that it did not need. */
  push(bytes: Buffer): Buffer;
  /** The body when it is complete. */
  readonly body: Uint8Array | undefined;
}

/**
 * Builds the reader of one connection. HTTP/1.1 allows a body that ends where the connection does; such a one is refused,
 * because half an answer of a loader that was killed would pass for a whole one.
 */
export function createResponseReader(maxBodyBytes: number): ResponseReader {
  let pending: Buffer = Buffer.alloc(0);
  let head: Head | undefined;
  let reader: BodyReader | undefined;

  const finish = ({ text, status }: Head, body: Uint8Array): HttpResponse => {
    if (pending.length > 0) throw new HttpSyntaxError("there are bytes after the answer");
    head = undefined;
    reader = undefined;
    const header = (name: string): string | undefined => headerOf(text, name);
    return { status, header, body, isKeptAlive: header("connection")?.toLowerCase() !== "close" };
  };

  const readHead = (): Head | undefined => {
    for (;;) {
      const end = pending.indexOf("\r\n\r\n");
      if (end === -1) {
        if (pending.length > maxHeadBytes) throw new HttpSyntaxError("the answer's head is too long");
        return undefined;
      }
      const parsed = parseHead(pending.toString("latin1", 0, end));
      pending = pending.subarray(end + 4);
      // 100 Continue and its like come before the answer.
      if (parsed.status >= 200) return parsed;
    }
  };

  return {
    push(chunk) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      pending = pending.length === 0 ? bytes : Buffer.concat([pending, bytes]);
      head ??= readHead();
      if (head === undefined) return undefined;
      reader ??= bodyReaderFor(head, maxBodyBytes);
      pending = reader.push(pending);
      return reader.body === undefined ? undefined : finish(head, reader.body);
    },
  };
}

function bodyReaderFor({ text, status }: Head, maxBodyBytes: number): BodyReader {
  if (/\r\ntransfer-encoding: *chunked/i.test(text)) return createChunkedReader(maxBodyBytes);
  const declared = headerOf(text, "content-length");
  if (declared === undefined && status !== 204 && status !== 304) {
    throw new HttpSyntaxError("the answer has neither a length nor chunks");
  }
  const length = Number(declared ?? 0);
  if (!(length <= maxBodyBytes)) throw new BodyTooLargeError(`the answer has ${declared} bytes`);
  return createLengthReader(length);
}

function createLengthReader(length: number): BodyReader {
  const body = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  return {
    push(bytes) {
      const taken = bytes.copy(body, filled);
      filled += taken;
      return bytes.subarray(taken);
    },
    get body() {
      return filled === length ? body : undefined;
    },
  };
}

function createChunkedReader(maxBodyBytes: number): BodyReader {
  const pieces: Buffer[] = [];
  let total = 0;
  let body: Uint8Array | undefined;
  /** Bytes of the chunk under way that have not come, its line's end included; undefined between chunks. */
  let missing: number | undefined;

  const readSize = (bytes: Buffer): Buffer | undefined => {
    const lineEnd = bytes.indexOf("\r\n");
    if (lineEnd === -1 && bytes.length <= maxSizeLineBytes) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", 0, Math.max(0, lineEnd)), 16);
    if (!(size >= 0)) throw new HttpSyntaxError("a chunk has no size");
    total += size;
    if (total > maxBodyBytes) throw new BodyTooLargeError(`the answer has more than ${maxBodyBytes} bytes`);
    missing = size + 2;
    isLast = size === 0;
    return bytes.subarray(lineEnd + 2);
  };
  let isLast = false;
  const readData = (bytes: Buffer, left: number): Buffer => {
    const taken = bytes.subarray(0, left);
    const data = taken.subarray(0, Math.max(0, Math.min(taken.length, left - 2)));
    if (data.length > 0) pieces.push(data);
    missing = left - taken.length;
    if (missing === 0) {
      missing = undefined;
      if (isLast) body = Buffer.concat(pieces);
    }
    return bytes.subarray(taken.length);
  };

  return {
    push(bytes) {
      let rest = bytes;
      while (rest.length > 0 && body === undefined) {
        const next = missing === undefined ? readSize(rest) : readData(rest, missing);
        if (next === undefined) return rest;
        rest = next;
      }
      return rest;
    },
    get body() {
      return body;
    },
  };
}

function parseHead(text: string): Head {
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
  if (Number.isNaN(status)) throw new HttpSyntaxError("the answer is not HTTP/1.1");
  return { text, status };
}

const patterns = new Map<string, RegExp>();

function headerOf(head: string, name: string): string | undefined {
  let pattern = patterns.get(name);
  if (pattern === undefined) {
    pattern = new RegExp(`\\r\\n${name}:[ \\t]*([^\\r]*)`, "i");
    patterns.set(name, pattern);
  }
  return pattern.exec(head)?.[1]?.trimEnd();
}
