import { createLeastSquares } from "./least-squares.ts";
import type { Point, Rectangle } from "./rectangle.ts";
import type { Strip } from "./strip.ts";

/** How many straight pieces a bent line is made of. */
const pieces = 24;

/** Columns of a line along its length, for its centre and thickness: far fewer than it has pixels. */
const columns = 64;

const degree = 4;

/** A circle's radius must be so many times the band's thickness: a blob fits a small circle too. */
const minRadiusPerThickness = 1.5;

/** A centre line with the direction across it, from the text's top to its bottom, at each point. */
interface CenterLine {
  readonly points: readonly Point[];
  readonly across: readonly Point[];
  /** The root of the mean squared distance of the region's pixels to it. */
  readonly error: number;
  readonly length: number;
  /** How far it leaves its own chord. */
  readonly bend: number;
}

/**
 * The strip of a region of pixels that follows a bent line: a polynomial of degree 4 along the rectangle's axis or a
 * circle, whichever fits better. Undefined for regions that are as good as straight, or no band at all: the centre line
 * must leave its chord by more than two fifths of the band's thickness, and the pixels must lie around it as those of a
 * band do. `points` may be a sample of the `area` pixels; `unclip` is how much a region grows, in area by circumference.
 */
export function bentStrip(
  points: readonly Point[],
  area: number,
  rectangle: Rectangle,
  unclip: number,
): Strip | undefined {
  const lines = [polynomialLine(points, rectangle), circleLine(points, area)].filter((line) => line !== undefined);
  const line = lines.toSorted((a, b) => a.error - b.error)[0];
  if (line === undefined) return undefined;
  const thickness = area / line.length;
  if (line.length < 3 * thickness || line.bend < 0.4 * thickness) return undefined;
  // A band's pixels have an error of its thickness / sqrt(12), 0.29.
  if (line.error > 0.4 * thickness) return undefined;
  const margin = (line.length * thickness * unclip) / (2 * (line.length + thickness));
  return stripAround(line, thickness / 2 + margin, margin);
}

function polynomialLine(points: readonly Point[], rectangle: Rectangle): CenterLine | undefined {
  const { center, axis } = rectangle;
  const half = rectangle.length / 2;
  if (half === 0) return undefined;
  const along = (point: Point): number => ((point.x - center.x) * axis.x + (point.y - center.y) * axis.y) / half;
  const across = (point: Point): number => (point.y - center.y) * axis.x - (point.x - center.x) * axis.y;
  const coefficients = polynomialOfColumns(points, along, across);
  if (coefficients === undefined) return undefined;

  let squares = 0;
  for (const point of points) {
    const at = along(point);
    const slope = slopeAt(coefficients, at) / half;
    squares += (across(point) - valueAt(coefficients, at)) ** 2 / (1 + slope * slope);
  }
  const centers: Point[] = [];
  const normals: Point[] = [];
  for (let index = 0; index <= pieces; index++) {
    const at = (index / pieces) * 2 - 1;
    const [u, v] = [at * half, valueAt(coefficients, at)];
    const slope = slopeAt(coefficients, at) / half;
    const norm = Math.hypot(1, slope);
    centers.push({ x: center.x + u * axis.x - v * axis.y, y: center.y + u * axis.y + v * axis.x });
    normals.push({ x: (-slope * axis.x - axis.y) / norm, y: (-slope * axis.y + axis.x) / norm });
  }
  return centerLine(centers, normals, Math.sqrt(squares / points.length));
}

function polynomialOfColumns(
  points: readonly Point[],
  along: (point: Point) => number,
  across: (point: Point) => number,
): number[] | undefined {
  const sums = new Float64Array(columns);
  const counts = new Float64Array(columns);
  for (const point of points) {
    const column = Math.min(columns - 1, Math.max(0, Math.floor(((along(point) + 1) / 2) * columns)));
    sums[column] = (sums[column] ?? 0) + across(point);
    counts[column] = (counts[column] ?? 0) + 1;
  }
  const fit = createLeastSquares(degree + 1);
  for (let column = 0; column < columns; column++) {
    const count = counts[column] ?? 0;
    if (count === 0) continue;
    const at = ((column + 0.5) / columns) * 2 - 1;
    fit.add(
      Array.from({ length: degree + 1 }, (_, power) => at ** power),
      (sums[column] ?? 0) / count,
    );
  }
  return fit.solve();
}

function valueAt(coefficients: readonly number[], at: number): number {
  return coefficients.reduceRight((value, coefficient) => value * at + coefficient, 0);
}

function slopeAt(coefficients: readonly number[], at: number): number {
  return coefficients.reduceRight(
    (value, coefficient, power) => (power === 0 ? value : value * at + coefficient * power),
    0,
  );
}

function circleLine(points: readonly Point[], area: number): CenterLine | undefined {
  const origin = points[0];
  if (origin === undefined) return undefined;
  const fit = createLeastSquares(3);
  for (const point of points) {
    const [x, y] = [point.x - origin.x, point.y - origin.y];
    fit.add([x, y, 1], x * x + y * y);
  }
  const [a, b, c] = fit.solve() ?? [];
  if (a === undefined || b === undefined || c === undefined) return undefined;
  const center = { x: origin.x + a / 2, y: origin.y + b / 2 };
  const radius = Math.sqrt(c + (a / 2) ** 2 + (b / 2) ** 2);
  let squares = 0;
  for (const point of points) squares += (Math.hypot(point.x - center.x, point.y - center.y) - radius) ** 2;
  const [from, to] = coveredAngles(points, center);
  if (area > (radius * radius * (to - from)) / minRadiusPerThickness) return undefined;
  // Past a circle's upper half the text hangs with its top towards the centre, as people set it on a badge.
  const isHanging = Math.sin((from + to) / 2) > 0;
  const centers: Point[] = [];
  const normals: Point[] = [];
  for (let index = 0; index <= pieces; index++) {
    const share = isHanging ? 1 - index / pieces : index / pieces;
    const angle = from + (to - from) * share;
    const outward = { x: Math.cos(angle), y: Math.sin(angle) };
    centers.push({ x: center.x + radius * outward.x, y: center.y + radius * outward.y });
    normals.push(isHanging ? outward : { x: -outward.x, y: -outward.y });
  }
  return centerLine(centers, normals, Math.sqrt(squares / points.length));
}

// The part of the circle that has pixels: what is left of the widest gap between them.
function coveredAngles(points: readonly Point[], center: Point): [number, number] {
  const angles = Float64Array.from(points, (point) => Math.atan2(point.y - center.y, point.x - center.x)).sort();
  const first = angles[0] ?? 0;
  const last = angles.at(-1) ?? 0;
  let [from, to] = [first, last];
  let widest = first + 2 * Math.PI - last;
  for (let index = 1; index < angles.length; index++) {
    const [before, after] = [angles[index - 1] ?? 0, angles[index] ?? 0];
    if (after - before <= widest) continue;
    widest = after - before;
    [from, to] = [after, before + 2 * Math.PI];
  }
  return [from, to];
}

function centerLine(points: readonly Point[], across: readonly Point[], error: number): CenterLine | undefined {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || !Number.isFinite(error)) return undefined;
  const chord = Math.hypot(last.x - first.x, last.y - first.y);
  let length = 0;
  let bend = 0;
  for (const [index, point] of points.entries()) {
    const previous = points[index - 1] ?? point;
    length += Math.hypot(point.x - previous.x, point.y - previous.y);
    const cross = (last.x - first.x) * (point.y - first.y) - (last.y - first.y) * (point.x - first.x);
    const distance = chord < length / 4 ? Math.hypot(point.x - first.x, point.y - first.y) : Math.abs(cross) / chord;
    bend = Math.max(bend, distance);
  }
  return { points, across, error, length, bend };
}

function stripAround(line: CenterLine, half: number, margin: number): Strip {
  const points = [...line.points];
  const across = [...line.across];
  // The ends go straight on: a polynomial swings out past the pixels that it was fitted to.
  const ends = [
    { at: 0, sign: -1 },
    { at: points.length - 1, sign: 1 },
  ];
  for (const { at, sign } of ends) {
    const [point, normal] = [points[at], across[at]];
    if (point === undefined || normal === undefined) continue;
    points[at] = { x: point.x + normal.y * margin * sign, y: point.y - normal.x * margin * sign };
  }
  const offset = (side: number): Point[] =>
    points.map((point, index) => {
      const normal = across[index] ?? { x: 0, y: 0 };
      return { x: point.x + normal.x * half * side, y: point.y + normal.y * half * side };
    });
  return { top: offset(-1), bottom: offset(1) };
}
