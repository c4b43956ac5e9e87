/** One response as a benchmark needs it. */
export interface HttpResponse {
  readonly status: number;
  readonly body: Uint8Array;
}

/** Cuts a connection's bytes into responses: with a declared length, or chunked. */
export interface ResponseParser {
  /** Takes the next bytes and gives the responses that are complete now. Throws Error for what is not HTTP/1.1. */
  push(chunk: Uint8Array): HttpResponse[];
}

const decoder = new TextDecoder("latin1");

/** Builds the parser of one keep-alive connection. */
export function createResponseParser(): ResponseParser {
  let buffered: Buffer = Buffer.alloc(0);
  return {
    push(chunk) {
      buffered = buffered.length === 0 ? Buffer.from(chunk) : Buffer.concat([buffered, chunk]);
      const responses: HttpResponse[] = [];
      for (;;) {
        const parsed = parseOne(buffered);
        if (parsed === undefined) return responses;
        buffered = buffered.subarray(parsed.size);
        // 100 Continue and its like come before the response.
        if (parsed.response.status >= 200) responses.push(parsed.response);
      }
    },
  };
}

function parseOne(bytes: Buffer): { response: HttpResponse; size: number } | undefined {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const head = decoder.decode(bytes.subarray(0, headEnd));
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
  if (Number.isNaN(status)) throw new Error("the answer is not HTTP/1.1");
  const start = headEnd + 4;
  if (status < 200) return { response: { status, body: new Uint8Array() }, size: start };
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) {
    const chunked = parseChunks(bytes, start);
    return chunked === undefined ? undefined : { response: { status, body: chunked.body }, size: chunked.end };
  }
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  if (bytes.length < start + length) return undefined;
  return { response: { status, body: bytes.subarray(start, start + length) }, size: start + length };
}

function parseChunks(bytes: Buffer, start: number): { body: Uint8Array; end: number } | undefined {
  const pieces: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(decoder.decode(bytes.subarray(at, lineEnd)), 16);
    if (Number.isNaN(size)) throw new Error("the answer has a chunk without a size");
    const dataStart = lineEnd + 2;
    if (bytes.length < dataStart + size + 2) return undefined;
    at = dataStart + size + 2;
    if (size === 0) return { body: Buffer.concat(pieces), end: at };
    pieces.push(bytes.subarray(dataStart, dataStart + size));
  }
}
