import { convexHull, extentAlong, type Point, type Rectangle, smallestRectangle } from "./rectangle.ts";

/** For each pixel how probably it belongs to the core of a line of text, row after row. */
export interface TextMap {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

/** The core of a line, or of a piece of one: connected pixels, or several such groups that were joined. */
export interface Core {
  readonly pixels: Int32Array;
  /** The width of the map that the pixels index. */
  readonly mapWidth: number;
  readonly hull: readonly Point[];
  readonly rectangle: Rectangle;
  /** The mean probability of its pixels. */
  readonly score: number;
}

/** The most pixels of a core that are turned into points. */
const maxSample = 4000;

/** Describes a group of pixels of a map. */
export function coreFromPixels(map: TextMap, pixels: Int32Array): Core {
  const hull = convexHull(rowEnds(pixels, map.width));
  let sum = 0;
  for (const index of pixels) sum += map.values[index] ?? 0;
  const score = sum / pixels.length;
  return { pixels, mapWidth: map.width, hull, rectangle: smallestRectangle(hull), score };
}

/** Two cores of the same map as one. */
export function unionOfCores(a: Core, b: Core): Core {
  const hull = convexHull([...a.hull, ...b.hull]);
  const pixels = new Int32Array(a.pixels.length + b.pixels.length);
  pixels.set(a.pixels);
  pixels.set(b.pixels, a.pixels.length);
  const score = (a.score * a.pixels.length + b.score * b.pixels.length) / pixels.length;
  return { pixels, mapWidth: a.mapWidth, hull, rectangle: smallestRectangle(hull), score };
}

/** Some thousand of a core's pixels' middles, evenly chosen. */
export function samplePoints(core: Core): Point[] {
  const step = Math.max(1, Math.ceil(core.pixels.length / maxSample));
  const points: Point[] = [];
  for (let at = 0; at < core.pixels.length; at += step) {
    const index = core.pixels[at] ?? 0;
    const x = index % core.mapWidth;
    points.push({ x: x + 0.5, y: (index - x) / core.mapWidth + 0.5 });
  }
  return points;
}

/** Tells whether a core has a pixel about as close to a place as told. */
export function isNear(core: Core, place: Point, distance: number): boolean {
  const { along, across } = extentAlong(core.hull, { x: 1, y: 0 });
  const isFarBeside = place.x < along[0] - distance || place.x > along[1] + distance;
  if (isFarBeside || place.y < across[0] - distance || place.y > across[1] + distance) return false;
  return samplePoints(core).some(({ x, y }) => Math.hypot(x - place.x, y - place.y) <= distance);
}

// The outermost corners of each row's pixels: every corner of the hull is among them.
function rowEnds(pixels: Int32Array, width: number): Point[] {
  const ends = new Map<number, { left: number; right: number }>();
  for (const index of pixels) {
    const x = index % width;
    const y = (index - x) / width;
    const row = ends.get(y);
    if (row === undefined) ends.set(y, { left: x, right: x });
    else if (x < row.left) row.left = x;
    else if (x > row.right) row.right = x;
  }
  return [...ends].flatMap(([y, { left, right }]) => [
    { x: left, y },
    { x: left, y: y + 1 },
    { x: right + 1, y },
    { x: right + 1, y: y + 1 },
  ]);
}
