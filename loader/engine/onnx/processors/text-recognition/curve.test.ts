import { describe, expect, test } from "bun:test";
import { bentStrip } from "./curve.ts";
import { type Point, smallestRectangle } from "./rectangle.ts";
import { measuredStrip, type Strip } from "./strip.ts";

/** The pixels of a band between two radii, from an angle to another (degrees, clockwise from the right). */
function ringPart(radius: number, thickness: number, from: number, to: number): Point[] {
  const points: Point[] = [];
  for (let y = -radius - thickness; y <= radius + thickness; y++) {
    for (let x = -radius - thickness; x <= radius + thickness; x++) {
      const angle = ((Math.atan2(y, x) * 180) / Math.PI + 720 - from) % 360;
      if (angle <= to - from && Math.abs(Math.hypot(x, y) - radius) <= thickness / 2) points.push({ x, y });
    }
  }
  return points;
}

function stripOf(points: readonly Point[]): Strip | undefined {
  return bentStrip(points, points.length, smallestRectangle(points), 2);
}

function bandRadii(strip: Strip): { top: number[]; bottom: number[] } {
  const radii = (line: readonly Point[]): number[] => line.slice(1, -1).map(({ x, y }) => Math.hypot(x, y));
  return { top: radii(strip.top), bottom: radii(strip.bottom) };
}

describe("bentStrip", () => {
  for (const span of [70, 120, 180, 260]) {
    test(`follows an arch of ${span} degrees from left to right, with its top outside`, () => {
      const strip = stripOf(ringPart(120, 14, 270 - span / 2, 270 + span / 2));
      if (strip === undefined) throw new Error("no strip");
      const { top, bottom } = bandRadii(strip);
      for (const radius of top) expect(Math.abs(radius - 140)).toBeLessThan(8);
      for (const radius of bottom) expect(Math.abs(radius - 100)).toBeLessThan(8);
      expect(strip.top[10]?.x).toBeLessThan(strip.top[14]?.x ?? 0);
      expect(measuredStrip(strip).length).toBeGreaterThan((120 * Math.PI * span) / 180);
    });
  }

  test("follows a hanging line from left to right, with its top inside", () => {
    const strip = stripOf(ringPart(120, 14, 30, 150));
    if (strip === undefined) throw new Error("no strip");
    const { top, bottom } = bandRadii(strip);
    for (const radius of top) expect(Math.abs(radius - 100)).toBeLessThan(8);
    for (const radius of bottom) expect(Math.abs(radius - 140)).toBeLessThan(8);
    expect(strip.top[10]?.x).toBeLessThan(strip.top[14]?.x ?? 0);
  });

  test("leaves a straight line with ragged edges alone", () => {
    const points: Point[] = [];
    for (let x = 0; x < 300; x++) {
      for (let y = 0; y < 10; y++) if ((x * 7 + y * 13) % 5 > 1 || (y > 2 && y < 7)) points.push({ x, y });
    }
    expect(stripOf(points)).toBeUndefined();
  });

  test("leaves a blob, a corner and a single point alone", () => {
    const disc = ringPart(20, 40, 0, 360);
    expect(stripOf(disc)).toBeUndefined();
    const corner = Array.from({ length: 100 }, (_, at) => [
      { x: at, y: 0 },
      { x: 0, y: at },
    ]).flat();
    expect(
      stripOf(
        corner.flatMap(({ x, y }) => [
          { x, y },
          { x: x + 30, y: y + 30 },
        ]),
      ),
    ).toBeUndefined();
    expect(stripOf([{ x: 1, y: 1 }])).toBeUndefined();
  });
});
