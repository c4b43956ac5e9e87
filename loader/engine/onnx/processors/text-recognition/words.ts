import { type Crop, columnsPerStep } from "./crop.ts";
import type { ReadCharacter } from "./ctc.ts";
import { type InkColumns, inkColumnsFromCrop, widestGap } from "./ink.ts";
import type { Reading } from "./recognition.ts";

/** A word of a line: its text and which part of the line it takes, from 0 to 1. */
export interface Word {
  readonly text: string;
  /** The mean of its characters' scores. */
  readonly score: number;
  readonly from: number;
  readonly to: number;
}

/**
 * A gap between two characters parts words when the model gives a space more than this. It prefers the blank for many
 * spaces between Latin words, so that the likeliest class alone would join them. Inside words it mostly
 * gives less than 0.01; the most seen is 0.04, before a decimal point.
 */
const minSpaceProbability = 0.05;

/**
 * Down to this probability of a space the gap itself may part words: when it is wide for the letters' height, and wide
 * beside the gaps within words.
 */
const minSpaceHint = 0.003;

/** In crop heights, about one font size: half of a space with its side bearings. */
const minGapPerHeight = 0.2;

/** Beside the line's lower quartile of gaps: widely spaced letters stay one word. */
const minGapToUsual = 1.6;

/**
 * Divides a reading into words. The model's steps tell between which characters a gap is; where exactly, the crop tells:
 * the widest run of columns without ink.
 */
export function wordsFromReading(reading: Reading, crop: Crop): Word[] {
  const ink = inkColumnsFromCrop(crop);
  const groups = groupsFromCharacters(reading.characters, ink, crop.height);
  const edges = groups.map((group, index) => ({
    from: edgeBefore(ink, groups[index - 1]?.at(-1), group[0]),
    to: edgeAfter(ink, group.at(-1), groups[index + 1]?.[0]),
  }));
  return groups.map((group, index) => ({
    text: group.map((character) => character.text).join(""),
    score: group.reduce((sum, character) => sum + character.score, 0) / group.length,
    from: (edges[index]?.from ?? 0) / crop.width,
    to: (edges[index]?.to ?? crop.width) / crop.width,
  }));
}

function groupsFromCharacters(
  characters: readonly ReadCharacter[],
  ink: InkColumns,
  height: number,
): ReadCharacter[][] {
  const gaps = characters.slice(1).map((character, index) => gapWidth(ink, characters[index], character));
  // The lower quartile: in "A B C" half of the gaps and more are between words.
  const usual = gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 4)] ?? 0;
  const wideGap = Math.max(minGapPerHeight * height, minGapToUsual * usual);
  const groups: ReadCharacter[][] = [];
  for (const [index, character] of characters.entries()) {
    const group = groups.at(-1);
    const isWide = (gaps[index - 1] ?? 0) >= wideGap;
    const partsWords = character.spaceBefore > (isWide ? minSpaceHint : minSpaceProbability);
    if (group === undefined || partsWords) groups.push([character]);
    else group.push(character);
  }
  return groups.flatMap(partsOfYearRange);
}

/** A range of years such as 1887-90 is two numbers, each to be found by itself; dates and phone numbers are one. */
function partsOfYearRange(group: ReadCharacter[]): ReadCharacter[][] {
  const text = group.map((character) => character.text).join("");
  const [, first = "", last = ""] = /^([12]\d{3})[-–—](\d\d|[12]\d{3})\W?$/.exec(text) ?? [];
  const start = Number(first.slice(-last.length));
  if (last === "" || Number(last) <= start) return [group];
  const dash = group.findIndex((character) => /[-–—]$/.test(character.text));
  return [group.slice(0, dash + 1), group.slice(dash + 1)];
}

function gapWidth(ink: InkColumns, previous: ReadCharacter | undefined, next: ReadCharacter): number {
  const gap = widestGap(ink, columnOfStep(previous?.last ?? 0), columnOfStep(next.first));
  return gap === undefined ? 0 : gap.to - gap.from;
}

function edgeBefore(ink: InkColumns, previous: ReadCharacter | undefined, first: ReadCharacter | undefined): number {
  const to = columnOfStep(first?.first ?? 0);
  if (previous === undefined) return firstInk(ink, to);
  return gapBetween(ink, columnOfStep(previous.last), to).to;
}

function edgeAfter(ink: InkColumns, last: ReadCharacter | undefined, next: ReadCharacter | undefined): number {
  const from = columnOfStep(last?.last ?? 0);
  if (next === undefined) return lastInk(ink, from);
  return gapBetween(ink, from, columnOfStep(next.first)).from;
}

function columnOfStep(step: number): number {
  return (step + 0.5) * columnsPerStep;
}

// Where no column is empty, noise or a slant hides the gap: it takes the middle half between the two characters.
function gapBetween(ink: InkColumns, from: number, to: number): { from: number; to: number } {
  const quarter = (to - from) / 4;
  return widestGap(ink, from, to) ?? { from: from + quarter, to: to - quarter };
}

// The line's margin is part of the first word unless it is empty.
function firstInk(ink: InkColumns, before: number): number {
  for (let x = 0; x < before; x++) if (ink[x] === 1) return x;
  return before - columnsPerStep / 2;
}

function lastInk(ink: InkColumns, after: number): number {
  for (let x = ink.length; x > after; x--) if (ink[x - 1] === 1) return x;
  return after + columnsPerStep / 2;
}
