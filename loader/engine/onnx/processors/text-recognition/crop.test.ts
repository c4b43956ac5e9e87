import { expect, test } from "bun:test";
import { cropFromStrip } from "./crop.ts";
import { measuredStrip, stripFromRectangle, turnedByHalf } from "./strip.ts";

/** A picture whose red grows to the right and whose green grows downwards. */
function ramps(width: number, height: number) {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) data.set([x, y, 0], (y * width + x) * 3);
  }
  return { width, height, data };
}

const strip = stripFromRectangle({ center: { x: 100, y: 100 }, axis: { x: 1, y: 0 }, length: 96, thickness: 48 }, 0);
const byte = (value: number | undefined): number => (((value ?? 0) + 1) / 2) * 255;

test("a crop at the model's height holds the strip's pixels, blue first", () => {
  const crop = cropFromStrip(ramps(200, 200), measuredStrip(strip));
  expect([crop.width, crop.height]).toEqual([96, 48]);
  const at = (plane: number, x: number, y: number) => byte(crop.planes[(plane * 48 + y) * 96 + x]);
  expect(at(0, 5, 5)).toBeCloseTo(0, 3);
  expect(at(1, 5, 7)).toBeCloseTo(76 + 7, 3);
  expect(at(2, 5, 7)).toBeCloseTo(52 + 5, 3);
});

test("a turned strip is read from its other end", () => {
  const crop = cropFromStrip(ramps(200, 200), measuredStrip(turnedByHalf(strip)));
  expect(byte(crop.planes[2 * 48 * 96])).toBeCloseTo(147, 3);
});

test("a large strip is averaged, a strip past the edge goes on with the outermost pixels", () => {
  const checks = ramps(200, 200);
  for (let index = 0; index < checks.data.length; index++) {
    const pixel = Math.floor(index / 3);
    checks.data[index] = ((pixel % 200) + Math.floor(pixel / 200)) % 2 === 0 ? 255 : 0;
  }
  const large = stripFromRectangle({ center: { x: 100, y: 100 }, axis: { x: 1, y: 0 }, length: 192, thickness: 96 }, 0);
  const averaged = cropFromStrip(checks, measuredStrip(large));
  expect(byte(averaged.planes[24 * 96 + 48])).toBeCloseTo(127.5, 0);
  const outside = stripFromRectangle({ center: { x: 0, y: 100 }, axis: { x: 1, y: 0 }, length: 96, thickness: 48 }, 0);
  const crop = cropFromStrip(ramps(200, 200), measuredStrip(outside));
  expect(byte(crop.planes[2 * 48 * 96])).toBeCloseTo(0, 3);
});

test("a very long strip is squeezed", () => {
  const long = stripFromRectangle({ center: { x: 0, y: 0 }, axis: { x: 1, y: 0 }, length: 9000, thickness: 3 }, 0);
  expect(cropFromStrip(ramps(20, 20), measuredStrip(long)).width).toBe(3200);
});
