import { ServingError } from "../../proto/errors.ts";

/**
 * Reads a request's body, at most `maxBytes` of it. A declared length above that is refused before a byte is read.
 *
 * @throws ServingError PAYLOAD_TOO_LARGE, or CANCELED when the caller hangs up in the middle.
 */
export async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (declared !== null && Number(declared) > maxBytes) throw tooLarge(maxBytes);
  try {
    return declared === null ? await readBounded(request, maxBytes) : await request.bytes();
  } catch (cause) {
    if (cause instanceof ServingError) throw cause;
    throw new ServingError("CANCELED", "the request ended before its body was complete", { cause });
  }
}

async function readBounded(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body) {
    length += chunk.byteLength;
    if (length > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(maxBytes: number): ServingError {
  return new ServingError("PAYLOAD_TOO_LARGE", `the request is larger than ${maxBytes} bytes`);
}
