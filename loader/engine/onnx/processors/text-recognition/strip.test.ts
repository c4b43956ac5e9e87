import { describe, expect, test } from "bun:test";
import { cornersOfPart, crossing, measuredStrip, stripFromRectangle, turnedByHalf, turnedByQuarter } from "./strip.ts";

const level = { center: { x: 100, y: 50 }, axis: { x: 1, y: 0 }, length: 80, thickness: 20 };

describe("stripFromRectangle", () => {
  test("grows on all sides and reads along the length", () => {
    const strip = stripFromRectangle(level, 5);
    expect(strip.top).toEqual([
      { x: 55, y: 35 },
      { x: 145, y: 35 },
    ]);
    expect(strip.bottom).toEqual([
      { x: 55, y: 65 },
      { x: 145, y: 65 },
    ]);
  });

  test("reads a nearly square one that stands on end from the left", () => {
    const strip = stripFromRectangle({ center: { x: 0, y: 0 }, axis: { x: 0, y: 1 }, length: 24, thickness: 20 }, 0);
    expect(strip.top).toEqual([
      { x: -10, y: -12 },
      { x: 10, y: -12 },
    ]);
  });
});

describe("turned strips", () => {
  const strip = stripFromRectangle(level, 0);

  test("by half begin where the line ended, on the other side", () => {
    expect(turnedByHalf(strip).top[0]).toEqual({ x: 140, y: 60 });
    expect(turnedByHalf(turnedByHalf(strip))).toEqual(strip);
  });

  test("by a quarter begin at the bottom left, and four times are none", () => {
    const quarter = turnedByQuarter(strip);
    expect(quarter.top).toEqual([
      { x: 60, y: 60 },
      { x: 60, y: 40 },
    ]);
    expect(turnedByQuarter(turnedByQuarter(turnedByQuarter(quarter)))).toEqual(strip);
  });
});

describe("parts of a strip", () => {
  test("crossing goes along the middle, whatever the pieces' lengths", () => {
    const strip = measuredStrip({
      top: [
        { x: 0, y: 0 },
        { x: 10, y: 0 },
        { x: 100, y: 0 },
      ],
      bottom: [
        { x: 0, y: 10 },
        { x: 10, y: 10 },
        { x: 100, y: 10 },
      ],
    });
    expect(strip).toMatchObject({ length: 100, thickness: 10 });
    expect(crossing(strip, 0.5)).toEqual({ top: { x: 50, y: 0 }, bottom: { x: 50, y: 10 } });
  });

  test("cornersOfPart goes clockwise from the top left of the text in reading direction", () => {
    const strip = measuredStrip(turnedByHalf(stripFromRectangle(level, 0)));
    const corners = cornersOfPart(strip, 0, 0.25).map(({ x, y }) => ({ x: Math.round(x), y: Math.round(y) }));
    expect(corners).toEqual([
      { x: 140, y: 60 },
      { x: 120, y: 60 },
      { x: 120, y: 40 },
      { x: 140, y: 40 },
    ]);
  });

  test("cornersOfPart takes in the bulge of a bent part", () => {
    const at = (radius: number, degrees: number) => ({
      x: radius * Math.cos((degrees * Math.PI) / 180),
      y: radius * Math.sin((degrees * Math.PI) / 180),
    });
    const angles = Array.from({ length: 13 }, (_, index) => 240 + index * 5);
    const strip = measuredStrip({
      top: angles.map((angle) => at(110, angle)),
      bottom: angles.map((angle) => at(90, angle)),
    });
    const [topLeft] = cornersOfPart(strip, 0, 1);
    expect(topLeft.y).toBeCloseTo(-110, 5);
    expect(topLeft.x).toBeCloseTo(-55, 5);
  });
});
