import { ServingError } from "../../proto/errors.ts";

/** What a body may take. */
export interface BodyBounds {
  readonly maxBytes: number;
  /** How long it may take to arrive: one that trickles in holds a place among the requests under way. */
  readonly timeoutMs: number;
  /** Told when it took longer: its connection has to be closed then. */
  readonly onLate: () => void;
}

/**
 * Reads a request's body as text, at most `maxBytes` of it. A declared length above the limit is refused before a byte
 * is read, a body without a declared length as soon as it passes the limit.
 *
 * @throws ServingError PAYLOAD_TOO_LARGE, DEADLINE_EXCEEDED, or CANCELED when the caller hangs up in the middle.
 */
export function readBody(request: Request, bounds: BodyBounds): Promise<string> {
  return readWithin(request, bounds, () => request.text(), textFrom);
}

/** Reads a request's body as it is; otherwise as {@link readBody}. */
export function readBytes(request: Request, bounds: BodyBounds): Promise<Uint8Array> {
  return readWithin(request, bounds, () => request.bytes(), bytesFrom);
}

async function readWithin<Body>(
  request: Request,
  { maxBytes, timeoutMs, onLate }: BodyBounds,
  readDeclared: () => Promise<Body>,
  gather: (chunks: AsyncIterable<Uint8Array>) => Promise<Body>,
): Promise<Body> {
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > maxBytes) throw tooLarge(maxBytes);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    onLate();
    late.reject(new ServingError("DEADLINE_EXCEEDED", `the request body was not complete within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    const body = declared === null ? gather(chunksOf(request, maxBytes)) : readDeclared();
    return await Promise.race([body, late.promise]);
  } catch (error) {
    if (error instanceof ServingError) throw error;
    throw new ServingError("CANCELED", "the request ended before its body was complete", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function* chunksOf(request: Request, maxBytes: number): AsyncGenerator<Uint8Array> {
  if (request.body === null) return;
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    yield chunk;
  }
}

async function textFrom(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

async function bytesFrom(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(chunks));
}

function tooLarge(maxBytes: number): ServingError {
  return new ServingError("PAYLOAD_TOO_LARGE", `the request body is larger than ${maxBytes} bytes`);
}
