import { describe, expect, test } from "bun:test";
import { deflateSync, gzipSync } from "node:zlib";
import { decompressed } from "./content-encoding.ts";

const body = Buffer.from("some bytes");
const reasonOf = (bytes: Uint8Array, encoding: string | null, maxBytes = 100) =>
  decompressed(bytes, encoding, maxBytes).then(
    () => "OK",
    (error) => error.reason,
  );

describe("decompressed()", () => {
  test("unpacks gzip and deflate, and gives any other body as it is", async () => {
    expect(await decompressed(body, null, 5)).toBe(body);
    expect(await decompressed(body, "identity", 5)).toBe(body);
    expect(Buffer.from(await decompressed(gzipSync(body), "GZIP", 100))).toEqual(body);
    expect(Buffer.from(await decompressed(deflateSync(body), "deflate", 100))).toEqual(body);
  });

  test("unpacks up to the bound and not a byte more", async () => {
    const large = Buffer.alloc(5_000_000);
    for (const [encoding, packed] of [
      ["gzip", gzipSync(large)],
      ["deflate", deflateSync(large)],
    ] as const) {
      expect((await decompressed(packed, encoding, large.length)).length).toBe(large.length);
      expect(await reasonOf(packed, encoding, large.length - 1)).toBe("PAYLOAD_TOO_LARGE");
    }
    const twice = Buffer.concat([gzipSync(large), gzipSync(large)]);
    expect(await reasonOf(twice, "gzip", large.length)).toBe("PAYLOAD_TOO_LARGE");
  });

  test("refuses other compressions, and what is not compressed, or cut off", async () => {
    expect(await reasonOf(body, "br")).toBe("UNSUPPORTED_MEDIA_TYPE");
    expect(await reasonOf(body, "gzip, gzip")).toBe("UNSUPPORTED_MEDIA_TYPE");
    expect(await reasonOf(body, "gzip")).toBe("MALFORMED_ENVELOPE");
    expect(await reasonOf(gzipSync(body).subarray(0, 20), "gzip")).toBe("MALFORMED_ENVELOPE");
    expect(await reasonOf(new Uint8Array(0), "deflate")).toBe("MALFORMED_ENVELOPE");
  });
});
