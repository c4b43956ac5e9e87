import { describe, expect, test } from "bun:test";
import type { Crop } from "./crop.ts";
import { wordsFromReading } from "./words.ts";

/** A crop of 48 rows whose inked columns have a dark lower half; `pattern` has a character for every four columns. */
function cropOf(pattern: string): Crop {
  const width = pattern.length * 4;
  const planes = new Float32Array(3 * 48 * width).fill(1);
  for (let row = 0; row < 3 * 48; row++) {
    if (row % 48 < 24) continue;
    for (let x = 0; x < width; x++) if (pattern[Math.floor(x / 4)] === "#") planes[row * width + x] = -1;
  }
  return { width, height: 48, planes };
}

/** A character at each step that has one; a space before it as probable as told. */
function readingOf(text: string, spaces: Record<number, number> = {}) {
  const characters = [...text].flatMap((character, step) =>
    character === "." ? [] : [{ text: character, score: 1, first: step, last: step, spaceBefore: spaces[step] ?? 0 }],
  );
  return { characters, steps: text.length, score: 1 };
}

const textsOf = (text: string, pattern: string, spaces: Record<number, number> = {}): string[] =>
  wordsFromReading(readingOf(text, spaces), cropOf(pattern)).map((word) => word.text);

describe("wordsFromReading", () => {
  test("parts words where the model sees a space, even a weak one", () => {
    expect(textsOf(".ab..cd.", ".####...####....", { 5: 0.06 })).toEqual(["ab", "cd"]);
  });

  test("parts words at a faint hint only where the gap is wide beside the others", () => {
    const wide = "..##.##.......##.##..";
    const narrow = "..##.##.##.##........";
    expect(textsOf(".ab...cd..", wide, { 6: 0.01 })).toEqual(["ab", "cd"]);
    expect(textsOf(".abcd.....", narrow, { 3: 0.01 })).toEqual(["abcd"]);
    expect(textsOf(".ab...cd..", wide, { 6: 0.001 })).toEqual(["abcd"]);
  });

  test("keeps widely spaced letters together", () => {
    const spaced = ".#...#...#...#..";
    expect(textsOf("a.b.c.d.", spaced, { 2: 0.01, 4: 0.01, 6: 0.01 })).toEqual(["abcd"]);
  });

  test("ends a word's part where its ink ends", () => {
    const words = wordsFromReading(readingOf(".ab..cd.", { 5: 1 }), cropOf("..####....####.."));
    expect(words.map(({ from, to }) => [from * 16, to * 16])).toEqual([
      [2, 6],
      [10, 14],
    ]);
  });

  test("parts words somewhere between their characters when no column is empty", () => {
    const [first, second] = wordsFromReading(readingOf("ab..cd", { 4: 1 }), cropOf("############"));
    expect(first?.to).toBeGreaterThan(1.5 / 6);
    expect(first?.to).toBeLessThan(second?.from ?? 0);
    expect(second?.from).toBeLessThan(4.5 / 6);
  });

  test("gives the mean of the characters' scores", () => {
    const characters = [0.5, 1].map((score, step) => ({ text: "x", score, first: step, last: step, spaceBefore: 0 }));
    expect(wordsFromReading({ characters, steps: 2, score: 0.75 }, cropOf("####"))[0]?.score).toBe(0.75);
  });

  test("gives each year of a range a word of its own, and leaves dates, numbers and compounds whole", () => {
    const whole = (text: string) => textsOf(text, "#".repeat(text.length * 2));
    expect(whole("1887-90")).toEqual(["1887-", "90"]);
    expect(whole("1914–1918")).toEqual(["1914–", "1918"]);
    for (const text of ["2026-11-24", "2026-11", "555-1234", "1999-98", "well-known"])
      expect(whole(text)).toEqual([text]);
  });

  test("gives no words for no characters", () => {
    expect(textsOf("....", "........")).toEqual([]);
  });
});
