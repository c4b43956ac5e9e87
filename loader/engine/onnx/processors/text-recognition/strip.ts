import type { Point, Rectangle } from "./rectangle.ts";

/**
 * The place of a line of text: the region between two polylines with equally many points (at least two), both in
 * reading direction, `top` above the letters. A straight line has two points in each.
 */
export interface Strip {
  readonly top: readonly Point[];
  readonly bottom: readonly Point[];
}

/**
 * A rectangle's strip, grown on all four sides and read along its length. One that is nearly square (a letter or two) is
 * read along whichever side is closer to horizontal.
 */
export function stripFromRectangle(rectangle: Rectangle, margin: number): Strip {
  const { center, length, thickness } = rectangle;
  const isUpended = length < 1.5 * thickness && Math.abs(rectangle.axis.y) > Math.abs(rectangle.axis.x);
  const sign = rectangle.axis.y < 0 ? -1 : 1;
  const axis = isUpended ? { x: rectangle.axis.y * sign, y: -rectangle.axis.x * sign } : rectangle.axis;
  const along = (isUpended ? thickness : length) / 2 + margin;
  const across = (isUpended ? length : thickness) / 2 + margin;
  const corner = (side: number, height: number): Point => ({
    x: center.x + axis.x * along * side - axis.y * across * height,
    y: center.y + axis.y * along * side + axis.x * across * height,
  });
  return { top: [corner(-1, -1), corner(1, -1)], bottom: [corner(-1, 1), corner(1, 1)] };
}

/** The same place, read upside down. */
export function turnedByHalf(strip: Strip): Strip {
  return { top: strip.bottom.toReversed(), bottom: strip.top.toReversed() };
}

/** The same place of a straight strip, read from what was its bottom to what was its top. */
export function turnedByQuarter(strip: Strip): Strip {
  const [topLeft, topRight] = endsOf(strip.top);
  const [bottomLeft, bottomRight] = endsOf(strip.bottom);
  return { top: [bottomLeft, topLeft], bottom: [bottomRight, topRight] };
}

function endsOf(line: readonly Point[]): [Point, Point] {
  const [first, last] = [line[0], line.at(-1)];
  if (first === undefined || last === undefined) throw new TypeError("a strip has points");
  return [first, last];
}

/** Every point of a strip on a picture of another size. */
export function scaledStrip(strip: Strip, scaleX: number, scaleY: number): Strip {
  const scaled = (point: Point): Point => ({ x: point.x * scaleX, y: point.y * scaleY });
  return { top: strip.top.map(scaled), bottom: strip.bottom.map(scaled) };
}

/** A strip whose places are found by how far along it they are. */
export interface MeasuredStrip extends Strip {
  readonly length: number;
  /** The mean distance between top and bottom. */
  readonly thickness: number;
  /** How far along its middle each point stands, from 0 to 1. */
  readonly fractions: readonly number[];
}

/** Measures a strip along its middle. */
export function measuredStrip(strip: Strip): MeasuredStrip {
  let length = 0;
  let thickness = 0;
  const travelled: number[] = [];
  let previous: Point | undefined;
  for (const [index, top] of strip.top.entries()) {
    const bottom = strip.bottom[index] ?? top;
    const middle = between(top, bottom, 0.5);
    if (previous !== undefined) length += Math.hypot(middle.x - previous.x, middle.y - previous.y);
    travelled.push(length);
    thickness += Math.hypot(bottom.x - top.x, bottom.y - top.y) / strip.top.length;
    previous = middle;
  }
  return { ...strip, length, thickness, fractions: travelled.map((distance) => distance / length) };
}

/** Where top and bottom are at a fraction of a strip's length. */
export function crossing(strip: MeasuredStrip, fraction: number): { top: Point; bottom: Point } {
  let index = 0;
  while (index < strip.fractions.length - 2 && fraction > (strip.fractions[index + 1] ?? 1)) index++;
  const from = strip.fractions[index] ?? 0;
  const to = strip.fractions[index + 1] ?? 1;
  const share = to > from ? (fraction - from) / (to - from) : 0;
  return { top: onPolyline(strip.top, index, share), bottom: onPolyline(strip.bottom, index, share) };
}

function onPolyline(line: readonly Point[], index: number, share: number): Point {
  const [from, to] = [line[index], line[index + 1]];
  if (from === undefined || to === undefined) throw new TypeError("a strip has at least two points");
  return between(from, to, share);
}

function between(from: Point, to: Point, share: number): Point {
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
}

/**
 * The four corners of the rectangle around a part of a strip, clockwise from the top left of the text: for a bent part
 * it stands along the chord.
 */
export function cornersOfPart(strip: MeasuredStrip, from: number, to: number): [Point, Point, Point, Point] {
  const inner = strip.fractions.filter((fraction) => fraction > from && fraction < to);
  const crossings = [from, ...inner, to].map((fraction) => crossing(strip, fraction));
  const axis = direction(crossings);
  let [left, right, above, below] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const point of crossings.flatMap(({ top, bottom }) => [top, bottom])) {
    const along = point.x * axis.x + point.y * axis.y;
    const across = point.y * axis.x - point.x * axis.y;
    [left, right] = [Math.min(left, along), Math.max(right, along)];
    [above, below] = [Math.min(above, across), Math.max(below, across)];
  }
  const corner = (along: number, across: number): Point => ({
    x: along * axis.x - across * axis.y,
    y: along * axis.y + across * axis.x,
  });
  return [corner(left, above), corner(right, above), corner(right, below), corner(left, below)];
}

function direction(crossings: readonly { top: Point; bottom: Point }[]): Point {
  const [first, last] = [crossings[0], crossings.at(-1)];
  if (first === undefined || last === undefined) throw new TypeError("a part has two ends");
  const from = between(first.top, first.bottom, 0.5);
  const to = between(last.top, last.bottom, 0.5);
  const span = Math.hypot(to.x - from.x, to.y - from.y);
  return span === 0 ? { x: 1, y: 0 } : { x: (to.x - from.x) / span, y: (to.y - from.y) / span };
}
