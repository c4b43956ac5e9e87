import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../../../../proto/errors.ts";
import { isBitmap, pictureFromBitmap } from "./bitmap.ts";

interface BitmapParts {
  readonly width: number;
  /** Negative: rows from the top. */
  readonly height: number;
  readonly bitsPerPixel: number;
  readonly pixels: readonly number[];
  readonly compression?: number;
  /** Four bytes (blue, green, red, unused) for each colour. */
  readonly palette?: readonly number[];
  readonly masks?: readonly number[];
}

function bitmap(parts: BitmapParts): Uint8Array {
  const { palette = [], masks = [] } = parts;
  const pixelsAt = 54 + masks.length * 4 + palette.length;
  const bytes = new Uint8Array(pixelsAt + parts.pixels.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(10, pixelsAt, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, parts.width, true);
  view.setInt32(22, parts.height, true);
  view.setUint16(28, parts.bitsPerPixel, true);
  view.setUint32(30, parts.compression ?? 0, true);
  view.setUint32(46, palette.length / 4, true);
  for (const [index, mask] of masks.entries()) view.setUint32(54 + index * 4, mask, true);
  bytes.set(palette, 54 + masks.length * 4);
  bytes.set(parts.pixels, pixelsAt);
  return bytes;
}

const read = (parts: BitmapParts): number[] => [...pictureFromBitmap(bitmap(parts), "field").data];

const refused = "field is not a picture that can be read (JPEG, PNG, BMP or WebP)";

describe("pictureFromBitmap", () => {
  test("reads 24 bits from the bottom row up and skips the rows' padding", () => {
    const pixels = [1, 2, 3, 0, 4, 5, 6, 0];
    expect(read({ width: 1, height: 2, bitsPerPixel: 24, pixels })).toEqual([6, 5, 4, 3, 2, 1]);
  });

  test("reads rows from the top when the height is negative", () => {
    const pixels = [1, 2, 3, 0, 4, 5, 6, 0];
    expect(read({ width: 1, height: -2, bitsPerPixel: 24, pixels })).toEqual([3, 2, 1, 6, 5, 4]);
  });

  test("reads plain 32 bits and ignores the fourth byte", () => {
    expect(read({ width: 1, height: 1, bitsPerPixel: 32, pixels: [10, 20, 30, 0] })).toEqual([30, 20, 10]);
  });

  test("looks 8 bits up in the palette and takes an index past it for black", () => {
    const palette = [1, 2, 3, 0, 40, 50, 60, 0];
    const pixels = [1, 0, 9, 0];
    expect(read({ width: 3, height: 1, bitsPerPixel: 8, palette, pixels })).toEqual([60, 50, 40, 3, 2, 1, 0, 0, 0]);
  });

  test("reads 1 bit a pixel from the left", () => {
    const palette = [0, 0, 0, 0, 255, 255, 255, 0];
    const pixels = [0b01000000, 0, 0, 0];
    expect(read({ width: 2, height: 1, bitsPerPixel: 1, palette, pixels })).toEqual([0, 0, 0, 255, 255, 255]);
  });

  test("reads 16 bits by their bit fields", () => {
    const masks = [0xf800, 0x07e0, 0x001f];
    const pixels = [0x00, 0xf8, 0, 0];
    expect(read({ width: 1, height: 1, bitsPerPixel: 16, compression: 3, masks, pixels })).toEqual([255, 0, 0]);
  });

  test("lays alpha over white", () => {
    const masks = [0xff0000, 0xff00, 0xff, 0xff000000];
    const pixels = [0, 0, 0, 0, 0, 0, 0, 255];
    const data = read({ width: 2, height: 1, bitsPerPixel: 32, compression: 6, masks, pixels });
    expect(data).toEqual([255, 255, 255, 0, 0, 0]);
  });

  test("refuses run lengths", () => {
    const parts = { width: 1, height: 1, bitsPerPixel: 8, compression: 1, palette: [0, 0, 0, 0], pixels: [1, 0, 0, 0] };
    expect(() => read(parts)).toThrow(refused);
  });

  test("refuses a file that is cut anywhere", () => {
    const whole = bitmap({ width: 4, height: 4, bitsPerPixel: 24, pixels: new Array(48).fill(7) });
    for (let length = 2; length < whole.length; length++) {
      expect(() => pictureFromBitmap(whole.subarray(0, length), "field")).toThrow(refused);
    }
  });

  test("refuses a size that would take too much memory before it takes it", () => {
    const parts = { width: 30_000, height: 30_000, bitsPerPixel: 24, pixels: [] };
    expect(() => read(parts)).toThrow("field is too large: 30000 x 30000 pixels");
  });

  test("gives a picture or a refusal for any header", () => {
    const whole = bitmap({
      width: 2,
      height: 2,
      bitsPerPixel: 8,
      palette: new Array(1024).fill(9),
      pixels: [0, 0, 0, 0, 0, 0, 0, 0],
    });
    const damage = fc.array(fc.tuple(fc.integer({ min: 2, max: 53 }), fc.integer({ min: 0, max: 255 })), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(damage, (changes) => {
        const bytes = whole.slice();
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const { width, height, data } = pictureFromBitmap(bytes, "field");
          expect(data.length).toBe(width * height * 3);
        } catch (error) {
          expect(error).toBeInstanceOf(ServingError);
        }
      }),
    );
  });
});

test("isBitmap looks at the first two bytes", () => {
  expect(isBitmap(new TextEncoder().encode("BM"))).toBe(true);
  expect(isBitmap(new Uint8Array())).toBe(false);
});
