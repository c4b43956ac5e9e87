/** A place on a picture; y grows downwards. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A rectangle that may stand at an angle. */
export interface Rectangle {
  readonly center: Point;
  /** The direction of its length, of length 1, pointing right (down when it is vertical). */
  readonly axis: Point;
  /** Its extent along the axis. */
  readonly length: number;
  /** Its extent across the axis, never more than `length`. */
  readonly thickness: number;
}

/** The smallest rectangle around at least one point, by turning it along every edge of their convex hull. */
export function smallestRectangle(points: readonly Point[]): Rectangle {
  const hull = convexHull(points);
  let best: Rectangle | undefined;
  let bestArea = Number.POSITIVE_INFINITY;
  for (const [index, from] of hull.entries()) {
    const to = hull[(index + 1) % hull.length] ?? from;
    const span = Math.hypot(to.x - from.x, to.y - from.y);
    const axis = span === 0 ? { x: 1, y: 0 } : { x: (to.x - from.x) / span, y: (to.y - from.y) / span };
    const rectangle = rectangleAlong(hull, axis);
    const area = rectangle.length * rectangle.thickness;
    if (area >= bestArea) continue;
    best = rectangle;
    bestArea = area;
  }
  return best ?? rectangleAlong(hull, { x: 1, y: 0 });
}

/** From where to where points reach along a direction and across it (downwards, for a direction to the right). */
export interface Extent {
  readonly along: readonly [number, number];
  readonly across: readonly [number, number];
}

/** Measures points along an axis of length 1. */
export function extentAlong(points: readonly Point[], axis: Point): Extent {
  let [minAlong, maxAlong, minAcross, maxAcross] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of points) {
    const along = x * axis.x + y * axis.y;
    const across = y * axis.x - x * axis.y;
    minAlong = Math.min(minAlong, along);
    maxAlong = Math.max(maxAlong, along);
    minAcross = Math.min(minAcross, across);
    maxAcross = Math.max(maxAcross, across);
  }
  return { along: [minAlong, maxAlong], across: [minAcross, maxAcross] };
}

/** The convex hull of points, each corner once, in turning order. */
export function convexHull(points: readonly Point[]): Point[] {
  const sorted = points.toSorted((a, b) => a.x - b.x || a.y - b.y);
  const lower = halfHull(sorted);
  const upper = halfHull(sorted.toReversed());
  const hull = [...lower.slice(0, -1), ...upper.slice(0, -1)];
  return hull.length > 0 ? hull : sorted.slice(0, 1);
}

/** Tells whether a place lies inside a closed outline. */
export function isInsideOutline(place: Point, outline: readonly Point[]): boolean {
  let inside = false;
  for (const [index, from] of outline.entries()) {
    const to = outline[(index + 1) % outline.length] ?? from;
    if (from.y > place.y === to.y > place.y) continue;
    if (place.x < from.x + ((place.y - from.y) / (to.y - from.y)) * (to.x - from.x)) inside = !inside;
  }
  return inside;
}

function halfHull(sorted: readonly Point[]): Point[] {
  const chain: Point[] = [];
  for (const point of sorted) {
    while (chain.length >= 2 && turn(chain.at(-2) ?? point, chain.at(-1) ?? point, point) <= 0) chain.pop();
    chain.push(point);
  }
  return chain;
}

function turn(a: Point, b: Point, c: Point): number {
  return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

function rectangleAlong(hull: readonly Point[], axis: Point): Rectangle {
  const extent = extentAlong(hull, axis);
  const [minAlong, maxAlong] = extent.along;
  const [minAcross, maxAcross] = extent.across;
  const along = (minAlong + maxAlong) / 2;
  const across = (minAcross + maxAcross) / 2;
  const center = { x: along * axis.x - across * axis.y, y: along * axis.y + across * axis.x };
  const [length, thickness] = [maxAlong - minAlong, maxAcross - minAcross];
  if (length >= thickness) return { center, axis: pointedRight(axis), length, thickness };
  return { center, axis: pointedRight({ x: -axis.y, y: axis.x }), length: thickness, thickness: length };
}

// A direction and its opposite are the same axis: one of them is chosen so that upright text is read forwards.
function pointedRight(axis: Point): Point {
  const isVertical = Math.abs(axis.x) < 1e-9;
  const isBackward = isVertical ? axis.y < 0 : axis.x < 0;
  return isBackward ? { x: 0 - axis.x, y: 0 - axis.y } : axis;
}
