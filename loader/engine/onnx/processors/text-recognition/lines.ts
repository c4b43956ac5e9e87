import { type Crop, cropFromStrip } from "./crop.ts";
import type { DetectedText } from "./detection.ts";
import type { Picture } from "./picture.ts";
import type { Reading, RecognizeText } from "./recognition.ts";
import { isInsideOutline } from "./rectangle.ts";
import type { TextRegion } from "./regions.ts";
import { crossing, type MeasuredStrip, measuredStrip, type Strip, turnedByHalf, turnedByQuarter } from "./strip.ts";

/** A line of text that was read. */
export interface ReadLine {
  /** Where it is, in reading direction. */
  readonly strip: MeasuredStrip;
  readonly crop: Crop;
  readonly reading: Reading;
  /** How probably there is text. */
  readonly regionScore: number;
}

/** A line that is read less surely than this is no text. */
const minLineScore = 0.5;

/** A line that is read at least so surely is not tried in another direction. */
const sureScore = 0.9;

/** What it takes for a very large line to count. */
const minLargeScore = 0.8;

/** A strip that is less long than this many times its thickness is tried in all four directions. */
const shortAspect = 2.5;

/** Lines less than this part of a very large one's thickness are a text of their own, and not its pieces. */
const pieceThickness = 0.4;

/** Reads what was detected, each line in the direction in which it makes most sense, from top to bottom. */
export async function readLines(
  recognize: RecognizeText,
  picture: Picture,
  { regions, large }: DetectedText,
): Promise<ReadLine[]> {
  let lines: ReadLine[] = [];
  for (const region of regions) lines.push(await readRegion(recognize, picture, region));
  for (const region of large) {
    const line = await readRegion(recognize, picture, region);
    const inside = lines.filter((other) => isWithin(other.strip, line.strip));
    if (line.reading.score < minLargeScore || inside.some((other) => isTextOfItsOwn(other, line))) continue;
    lines = [...lines.filter((other) => !inside.includes(other)), line];
  }
  return inReadingOrder(lines.filter((line) => line.reading.score >= minLineScore));
}

async function readRegion(recognize: RecognizeText, picture: Picture, region: TextRegion): Promise<ReadLine> {
  let best: ReadLine | undefined;
  for (const direction of directions(region.strip)) {
    const strip = measuredStrip(direction);
    const crop = cropFromStrip(picture, strip);
    const reading = await recognize(crop);
    if (best === undefined || reading.score > best.reading.score) {
      best = { strip, crop, reading, regionScore: region.score };
    }
    if (reading.score >= sureScore) break;
  }
  if (best === undefined) throw new TypeError("a strip has a direction");
  return best;
}

// The likeliest reading direction first. A short strip may be a letter or two standing upright, higher than wide.
function directions(strip: Strip): Strip[] {
  const { length, thickness, top } = measuredStrip(strip);
  const halves = [strip, turnedByHalf(strip)];
  if (top.length > 2 || length >= shortAspect * thickness) return halves;
  const quarter = turnedByQuarter(strip);
  const quarters = [quarter, turnedByHalf(quarter)];
  return isSteep(strip) ? [...quarters, ...halves] : [...halves, ...quarters];
}

function isSteep(strip: Strip): boolean {
  const [first, last] = [strip.top[0], strip.top.at(-1)];
  if (first === undefined || last === undefined) return false;
  return Math.abs(last.y - first.y) > Math.abs(last.x - first.x);
}

function isWithin(part: MeasuredStrip, whole: MeasuredStrip): boolean {
  return isInsideOutline(middleOf(part), [...whole.top, ...whole.bottom.toReversed()]);
}

function middleOf(strip: MeasuredStrip): { x: number; y: number } {
  const { top, bottom } = crossing(strip, 0.5);
  return { x: (top.x + bottom.x) / 2, y: (top.y + bottom.y) / 2 };
}

function isTextOfItsOwn(line: ReadLine, large: ReadLine): boolean {
  return line.reading.score >= minLargeScore && line.strip.thickness < pieceThickness * large.strip.thickness;
}

// Lines whose middles are at about the same height are one row, read from the left.
function inReadingOrder(lines: readonly ReadLine[]): ReadLine[] {
  const rows: ReadLine[][] = [];
  for (const line of lines.toSorted((a, b) => middleOf(a.strip).y - middleOf(b.strip).y)) {
    const first = rows.at(-1)?.[0];
    const isSameRow =
      first !== undefined && middleOf(line.strip).y - middleOf(first.strip).y < first.strip.thickness / 2;
    if (isSameRow) rows.at(-1)?.push(line);
    else rows.push([line]);
  }
  return rows.flatMap((row) => row.toSorted((a, b) => middleOf(a.strip).x - middleOf(b.strip).x));
}
