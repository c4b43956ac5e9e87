import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isInsideOutline, type Point, smallestRectangle } from "./rectangle.ts";

function cornersOf(center: Point, length: number, thickness: number, degrees: number): Point[] {
  const angle = (degrees * Math.PI) / 180;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [-1, 1].flatMap((u) =>
    [-1, 1].map((v) => ({
      x: center.x + (cos * u * length - sin * v * thickness) / 2,
      y: center.y + (sin * u * length + cos * v * thickness) / 2,
    })),
  );
}

describe("smallestRectangle", () => {
  test("finds a rectangle again at any place and angle", () => {
    const number = (min: number, max: number) => fc.double({ min, max, noNaN: true });
    fc.assert(
      fc.property(number(0, 500), number(0, 500), number(50, 400), number(5, 45), number(-89, 89), (...drawn) => {
        const [x, y, length, thickness, degrees] = drawn;
        const points = cornersOf({ x, y }, length, thickness, degrees);
        const found = smallestRectangle([...points, { x, y }]);
        expect(found.length).toBeCloseTo(length, 4);
        expect(found.thickness).toBeCloseTo(thickness, 4);
        expect(found.center.x).toBeCloseTo(x, 4);
        expect(found.center.y).toBeCloseTo(y, 4);
        expect(found.axis.x).toBeCloseTo(Math.cos((degrees * Math.PI) / 180), 4);
        expect(found.axis.y).toBeCloseTo(Math.sin((degrees * Math.PI) / 180), 4);
      }),
    );
  });

  test("holds for a single point and for points on a line", () => {
    expect(smallestRectangle([{ x: 3, y: 4 }])).toMatchObject({ center: { x: 3, y: 4 }, length: 0, thickness: 0 });
    const line = smallestRectangle([
      { x: 0, y: 0 },
      { x: 0, y: 5 },
      { x: 0, y: 10 },
    ]);
    expect(line).toMatchObject({ axis: { x: 0, y: 1 }, length: 10, thickness: 0 });
  });
});

test("isInsideOutline follows an outline that bends inwards", () => {
  const arrow = [
    { x: 0, y: 0 },
    { x: 10, y: 5 },
    { x: 0, y: 10 },
    { x: 5, y: 5 },
  ];
  expect(isInsideOutline({ x: 7, y: 5 }, arrow)).toBe(true);
  expect(isInsideOutline({ x: 2, y: 5 }, arrow)).toBe(false);
  expect(isInsideOutline({ x: 20, y: 5 }, arrow)).toBe(false);
});
