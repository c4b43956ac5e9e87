import { type Core, isNear, unionOfCores } from "./core.ts";
import { extentAlong } from "./rectangle.ts";
import { crossing, measuredStrip, type Strip } from "./strip.ts";

/** A core that follows a bent line, and that line's strip. */
export interface BentCore {
  readonly core: Core;
  readonly strip: Strip;
}

/**
 * Joins the pieces of straight lines. On slanting lines the model's cores get so thin that they break: pieces in one
 * line and close together are one.
 */
export function joinedStraightCores(cores: readonly Core[]): Core[] {
  const byLength = cores.toSorted((a, b) => b.rectangle.length - a.rectangle.length);
  const left = new Set(byLength);
  const joined: Core[] = [];
  for (const core of byLength) {
    if (!left.delete(core)) continue;
    let whole = core;
    let piece = firstOf(left, (other) => continues(whole, other));
    while (piece !== undefined) {
      left.delete(piece);
      whole = unionOfCores(whole, piece);
      piece = firstOf(left, (other) => continues(whole, other));
    }
    joined.push(whole);
  }
  return joined;
}

/**
 * Joins bent cores with the cores, bent or straight, that stand at their ends, where both together are a bent line too.
 * `bend` tells the strip of a core that follows one.
 */
export function joinedBentCores(
  bent: readonly BentCore[],
  straight: readonly Core[],
  bend: (core: Core) => Strip | undefined,
): { bent: BentCore[]; straight: Core[] } {
  const left = new Set([...bent.map(({ core }) => core), ...straight]);
  const joined: BentCore[] = [];
  for (const start of bent.toSorted((a, b) => b.core.pixels.length - a.core.pixels.length)) {
    if (!left.delete(start.core)) continue;
    let whole = start;
    for (let next = extended(whole, left, bend); next !== undefined; next = extended(whole, left, bend)) {
      left.delete(next.piece);
      whole = next;
    }
    joined.push(whole);
  }
  return { bent: joined, straight: straight.filter((core) => left.has(core)) };
}

function continues(core: Core, other: Core): boolean {
  const { rectangle } = core;
  if (rectangle.length < 3 * rectangle.thickness) return false;
  const thickness = Math.max(rectangle.thickness, other.rectangle.thickness);
  const [dx, dy] = [other.rectangle.center.x - rectangle.center.x, other.rectangle.center.y - rectangle.center.y];
  // Most cores are far away: that is told without measuring them.
  if (Math.hypot(dx, dy) > (rectangle.length + other.rectangle.length) / 2 + 2 * thickness) return false;
  const own = extentAlong(core.hull, rectangle.axis);
  const its = extentAlong(other.hull, rectangle.axis);
  const gap = Math.max(its.along[0] - own.along[1], own.along[0] - its.along[1]);
  const offset = Math.abs(its.across[0] + its.across[1] - own.across[0] - own.across[1]) / 2;
  const extent = its.across[1] - its.across[0];
  return gap > -thickness && gap < 1.5 * thickness && offset < 0.6 * thickness && extent < 2 * rectangle.thickness;
}

function extended(
  { core, strip }: BentCore,
  others: ReadonlySet<Core>,
  bend: (core: Core) => Strip | undefined,
): (BentCore & { piece: Core }) | undefined {
  const measured = measuredStrip(strip);
  const ends = [0, 1].map((fraction) => {
    const { top, bottom } = crossing(measured, fraction);
    return { x: (top.x + bottom.x) / 2, y: (top.y + bottom.y) / 2 };
  });
  // The strip's ends already stand a core's thickness, about a third of the strip's, beyond the core.
  const reach = measured.thickness / 3;
  for (const piece of others) {
    if (!ends.some((end) => isNear(piece, end, reach))) continue;
    const whole = unionOfCores(core, piece);
    const itsStrip = bend(whole);
    if (itsStrip !== undefined) return { core: whole, strip: itsStrip, piece };
  }
  return undefined;
}

function firstOf<T>(values: Iterable<T>, fits: (value: T) => boolean): T | undefined {
  for (const value of values) if (fits(value)) return value;
  return undefined;
}
