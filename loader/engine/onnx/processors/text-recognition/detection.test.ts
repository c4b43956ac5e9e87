import { expect, test } from "bun:test";
import fc from "fast-check";
import { detectionSize } from "./detection.ts";

test("a small picture is enlarged until its shorter side suits the model", () => {
  expect(detectionSize(460, 276)).toEqual({ width: 1216, height: 736 });
});

test("a tiny picture is enlarged four times at most", () => {
  expect(detectionSize(128, 40)).toEqual({ width: 512, height: 160 });
});

test("a picture of a usual size keeps it", () => {
  expect(detectionSize(1280, 960)).toEqual({ width: 1280, height: 960 });
});

test("every size comes down to a bounded number of pixels, in whole strides", () => {
  const side = fc.integer({ min: 1, max: 32_768 });
  fc.assert(
    fc.property(side, side, (width, height) => {
      const size = detectionSize(width, height);
      expect(size.width * size.height).toBeLessThan(2_200_000);
      expect(Math.max(size.width, size.height)).toBeLessThanOrEqual(4096);
      expect(size.width % 32).toBe(0);
      expect(size.height % 32).toBe(0);
      expect(Math.min(size.width, size.height)).toBeGreaterThanOrEqual(32);
    }),
  );
});
