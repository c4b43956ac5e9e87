import { connectedComponents } from "./components.ts";
import { type Core, coreFromPixels, samplePoints, type TextMap } from "./core.ts";
import { bentStrip } from "./curve.ts";
import { type BentCore, joinedBentCores, joinedStraightCores } from "./joining.ts";
import { type Strip, stripFromRectangle } from "./strip.ts";

/** A line of text on a map, with the mean probability of its core. */
export interface TextRegion {
  readonly strip: Strip;
  readonly score: number;
}

// The published settings of the detection model (PP-OCR's DBPostProcess).
const threshold = 0.3;
const minScore = 0.6;
const minThickness = 3;

/**
 * How far a core grows to its line, in area by circumference. Published as 1.5; a little more shows the recognition
 * whole letters and more of the spaces. Of 2,031 drawn words 2,028 were found at 1.5, 2,029 at 1.8 and at 2, 2,025 at
 * 2.3 and 2,012 at 2.6, where neighbouring lines come in.
 */
const unclip = 2;

/** The most regions that are read; the largest count. A page of dense text has some hundreds. */
export const maxRegions = 1000;

/** A region that fills less of its rectangle than this may be bent. */
const straightFilling = 0.8;

/** Finds the lines of text of a map, bent ones first. */
export function regionsFromMap(map: TextMap): TextRegion[] {
  const { pixels, starts } = connectedComponents(map.values, map.width, threshold, minThickness * minThickness);
  let groups = starts.slice(1).map((end, index) => pixels.subarray(starts[index], end));
  if (groups.length > maxRegions) groups = groups.toSorted((a, b) => b.length - a.length).slice(0, maxRegions);
  const found: { bent: BentCore[]; straight: Core[] } = { bent: [], straight: [] };
  for (const group of groups) {
    const core = coreFromPixels(map, group);
    if (core.rectangle.thickness < minThickness || core.score < minScore) continue;
    const strip = stripOfBent(core);
    if (strip === undefined) found.straight.push(core);
    else found.bent.push({ core, strip });
  }
  const { bent, straight } = joinedBentCores(found.bent, found.straight, stripOfBent);
  return [
    ...bent.map(({ core, strip }) => ({ strip, score: core.score })),
    ...joinedStraightCores(straight).map((core) => ({ strip: stripOfStraight(core), score: core.score })),
  ];
}

function stripOfBent(core: Core): Strip | undefined {
  const { rectangle, pixels } = core;
  if (pixels.length >= straightFilling * rectangle.length * rectangle.thickness) return undefined;
  return bentStrip(samplePoints(core), pixels.length, rectangle, unclip);
}

function stripOfStraight({ rectangle }: Core): Strip {
  const { length, thickness } = rectangle;
  // Growing the rectangle by this distance equals growing its outline with round corners and boxing it again.
  const margin = (length * thickness * unclip) / (2 * (length + thickness));
  return stripFromRectangle(rectangle, margin);
}
