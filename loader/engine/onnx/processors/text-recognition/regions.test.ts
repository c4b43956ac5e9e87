import { describe, expect, test } from "bun:test";
import { regionsFromMap } from "./regions.ts";
import { measuredStrip } from "./strip.ts";

/** A map of zeros with bars of a probability; each bar is x, y, width, height. */
function mapOf(bars: readonly (readonly [number, number, number, number])[], probability = 0.95) {
  const [width, height] = [320, 200];
  const values = new Float32Array(width * height);
  for (const [left, top, across, down] of bars) {
    for (let y = top; y < top + down; y++) values.fill(probability, y * width + left, y * width + left + across);
  }
  return { width, height, values };
}

describe("regionsFromMap", () => {
  test("grows each core to its line", () => {
    const [region] = regionsFromMap(mapOf([[100, 50, 100, 10]]));
    if (region === undefined) throw new Error("no region");
    const { length, thickness } = measuredStrip(region.strip);
    const margin = (100 * 10 * 2) / (2 * 110);
    expect(length).toBeCloseTo(100 + 2 * margin, 4);
    expect(thickness).toBeCloseTo(10 + 2 * margin, 4);
    expect(region.score).toBeCloseTo(0.95, 4);
  });

  test("leaves out cores that are improbable or too thin", () => {
    expect(regionsFromMap(mapOf([[10, 10, 100, 10]], 0.5))).toEqual([]);
    expect(regionsFromMap(mapOf([[10, 10, 100, 2]]))).toEqual([]);
  });

  test("joins the pieces of one line and keeps lines and distant columns apart", () => {
    const pieces = regionsFromMap(
      mapOf([
        [10, 50, 100, 10],
        [118, 51, 60, 10],
      ]),
    );
    expect(pieces.length).toBe(1);
    expect(
      regionsFromMap(
        mapOf([
          [10, 50, 100, 10],
          [10, 70, 100, 10],
        ]),
      ).length,
    ).toBe(2);
    expect(
      regionsFromMap(
        mapOf([
          [10, 50, 100, 10],
          [150, 50, 100, 10],
        ]),
      ).length,
    ).toBe(2);
  });

  test("joins an arch that is broken in two places", () => {
    const map = mapOf([]);
    for (let y = 0; y < map.height; y++) {
      for (let x = 0; x < map.width; x++) {
        const degrees = (Math.atan2(y - 170, x - 160) * 180) / Math.PI;
        const isBroken = Math.abs(degrees + 120) < 2 || Math.abs(degrees + 45) < 2;
        if (degrees > -170 && degrees < -10 && Math.abs(Math.hypot(x - 160, y - 170) - 120) < 6 && !isBroken) {
          map.values[y * map.width + x] = 0.9;
        }
      }
    }
    const regions = regionsFromMap(map);
    expect(regions.length).toBe(1);
    const [region] = regions;
    if (region === undefined) throw new Error("no region");
    expect(measuredStrip(region.strip).length).toBeGreaterThan((120 * Math.PI * 160) / 180);
    expect(region.strip.top.length).toBeGreaterThan(2);
  });

  test("finds nothing on an empty map", () => {
    expect(regionsFromMap(mapOf([]))).toEqual([]);
  });
});
