import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createFrameReader, encodeFrame, FrameSyntaxError, FrameTooLargeError } from "./connect-frames.ts";

const message = fc.uint8Array({ maxLength: 40 });

describe("the messages of a Connect stream", () => {
  test("come out as they went in, wherever their bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 8 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 30 })),
        (all, cuts) => {
          const end = encodeFrame(new TextEncoder().encode("{}"), true);
          const bytes = Buffer.concat([...all.map((body) => encodeFrame(body)), end]);
          const reader = createFrameReader(100);
          const seen = [];
          for (let at = 0; at < bytes.length; ) {
            const size = cuts.next().value ?? 1;
            seen.push(...reader.push(bytes.subarray(at, at + size)));
            at += size;
          }
          expect(seen.map(({ isEnd }) => isEnd)).toEqual([...all.map(() => false), true]);
          expect(seen.map(({ body }) => Buffer.from(body).toString("hex"))).toEqual([
            ...all.map((body) => Buffer.from(body).toString("hex")),
            "7b7d",
          ]);
        },
      ),
    );
  });

  test("are refused when compressed, unknown or too large, as soon as their head is there", () => {
    expect(() => createFrameReader(100).push(Buffer.from([1, 0, 0, 0, 1]))).toThrow(FrameSyntaxError);
    expect(() => createFrameReader(100).push(Buffer.from([128, 0, 0, 0, 1]))).toThrow(FrameSyntaxError);
    expect(() => createFrameReader(100).push(Buffer.from([0, 0, 0, 0, 101]))).toThrow(FrameTooLargeError);
    expect(createFrameReader(100).push(Buffer.from([0, 0, 0, 0, 100]))).toEqual([]);
  });
});
