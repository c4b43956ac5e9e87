import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import { ServingError } from "../../../proto/errors.ts";

const decompressors = { gzip: promisify(gunzip), deflate: promisify(inflate) };

/** What bodies may be compressed with, as the header Accept-Encoding tells it. */
export const acceptedEncodings = Object.keys(decompressors).join(", ");

/**
 * A request's body without its compression, at most `maxBytes` of it: a small body may unpack to a large one.
 *
 * @throws ServingError UNSUPPORTED_MEDIA_TYPE for another compression, PAYLOAD_TOO_LARGE, MALFORMED_ENVELOPE.
 */
export async function decompressed(body: Uint8Array, encoding: string | null, maxBytes: number): Promise<Uint8Array> {
  const name = (encoding ?? "identity").trim().toLowerCase();
  if (name === "identity" || name === "") return body;
  if (name !== "gzip" && name !== "deflate") {
    throw new ServingError("UNSUPPORTED_MEDIA_TYPE", `content-encoding must be one of ${acceptedEncodings}`);
  }
  try {
    return await decompressors[name](body, { maxOutputLength: maxBytes });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") {
      throw new ServingError("PAYLOAD_TOO_LARGE", `the request body unpacks to more than ${maxBytes} bytes`, { cause });
    }
    throw new ServingError("MALFORMED_ENVELOPE", `the request body is not ${name}`, { cause });
  }
}
