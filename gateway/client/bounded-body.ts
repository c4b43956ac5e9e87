/** Thrown by {@link readBody} for a body that is larger than allowed. */
export class BodyTooLargeError extends Error {
  override readonly name = "BodyTooLargeError";
}

/** Thrown by {@link readBody} for a body whose end cannot be told from a broken connection. */
export class UnframedBodyError extends Error {
  override readonly name = "UnframedBodyError";
}

/**
 * Reads a response's body, at most `maxBytes` of it. HTTP/1.1 allows a body that ends where the connection does; such
 * a one is refused, because half an answer of a loader that was killed would pass for a whole one.
 */
export async function readBody(response: Response, maxBytes: number): Promise<Uint8Array> {
  const length = response.headers.get("content-length");
  if (length === null && !response.headers.has("transfer-encoding")) {
    await response.body?.cancel();
    throw new UnframedBodyError("the answer has neither a length nor chunks");
  }
  if (length !== null && Number(length) <= maxBytes) return response.bytes();
  if (length === null) return readChunks(response, maxBytes);
  await response.body?.cancel();
  throw new BodyTooLargeError(`the answer has ${length} bytes`);
}

async function readChunks(response: Response, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  // Leaving the loop by a throw cancels the body, which closes the connection.
  for await (const chunk of response.body ?? []) {
    total += chunk.byteLength;
    if (total > maxBytes) throw new BodyTooLargeError(`the answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, total);
}
