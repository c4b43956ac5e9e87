import { describe, expect, test } from "bun:test";
import { planesFromPicture } from "./resize.ts";

const plain = { scale: [1, 1, 1], offset: [0, 0, 0] } as const;

describe("planesFromPicture", () => {
  test("puts blue first and red last, scaled and shifted", () => {
    const picture = { width: 1, height: 1, data: Uint8Array.of(10, 20, 30) };
    const planes = planesFromPicture(picture, 1, 1, { scale: [1, 2, 3], offset: [0, 0, 1] });
    expect([...planes]).toEqual([30, 40, 31]);
  });

  test("keeps an even picture even at any size", () => {
    const picture = { width: 7, height: 5, data: new Uint8Array(7 * 5 * 3).fill(77) };
    for (const [width, height] of [
      [3, 2],
      [32, 64],
      [1, 1],
    ] as const) {
      for (const value of planesFromPicture(picture, width, height, plain)) expect(value).toBeCloseTo(77, 3);
    }
  });

  test("lets every pixel count when it shrinks", () => {
    const data = new Uint8Array(64 * 3);
    data.fill(255, 31 * 3, 32 * 3);
    const planes = planesFromPicture({ width: 64, height: 1, data }, 8, 1, plain);
    const total = planes.subarray(0, 8).reduce((sum, value) => sum + value, 0);
    expect(total).toBeCloseTo(255 / 8, 0);
  });

  test("goes evenly between pixels when it grows", () => {
    const data = Uint8Array.of(0, 0, 0, 100, 100, 100);
    const planes = planesFromPicture({ width: 2, height: 1, data }, 4, 1, plain);
    expect([...planes.subarray(0, 4)]).toEqual([0, 25, 75, 100]);
  });
});
