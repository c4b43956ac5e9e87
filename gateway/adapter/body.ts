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
export async function readBody(request: Request, { maxBytes, timeoutMs, onLate }: BodyBounds): Promise<string> {
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > maxBytes) throw tooLarge(maxBytes);
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    onLate();
    late.reject(new ServingError("DEADLINE_EXCEEDED", `the request body was not complete within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    const body = declared === null ? readBounded(request, maxBytes) : request.text();
    return await Promise.race([body, late.promise]);
  } catch (error) {
    if (error instanceof ServingError) throw error;
    throw new ServingError("CANCELED", "the request ended before its body was complete", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

async function readBounded(request: Request, maxBytes: number): Promise<string> {
  if (request.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function tooLarge(maxBytes: number): ServingError {
  return new ServingError("PAYLOAD_TOO_LARGE", `the request body is larger than ${maxBytes} bytes`);
}
