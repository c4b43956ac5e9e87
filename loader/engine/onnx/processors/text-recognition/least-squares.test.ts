import { expect, test } from "bun:test";
import { createLeastSquares, solveLinear } from "./least-squares.ts";

test("solves a system that needs its rows exchanged", () => {
  expect(
    solveLinear(
      [
        [0, 2],
        [4, 0],
      ],
      [6, 8],
    ),
  ).toEqual([2, 3]);
});

test("tells that a system has no single solution", () => {
  expect(
    solveLinear(
      [
        [1, 2],
        [2, 4],
      ],
      [1, 2],
    ),
  ).toBeUndefined();
});

test("finds the parabola that observations lie on", () => {
  const fit = createLeastSquares(3);
  for (const x of [-2, -1, 0, 1, 2]) fit.add([1, x, x * x], 3 - x + 0.5 * x * x);
  const [a = 0, b = 0, c = 0] = fit.solve() ?? [];
  expect(a).toBeCloseTo(3, 9);
  expect(b).toBeCloseTo(-1, 9);
  expect(c).toBeCloseTo(0.5, 9);
});
