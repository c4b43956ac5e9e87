import { describe, expect, test } from "bun:test";
import { alphabetFromDictionary, charactersFromProbabilities } from "./ctc.ts";

const alphabet = ["", "a", "b", "\u3000", " "];
const blank = [1, 0, 0, 0, 0];
const a = [0.1, 0.9, 0, 0, 0];
const b = [0.2, 0, 0.8, 0, 0];

const read = (...steps: number[][]) => charactersFromProbabilities(Float32Array.from(steps.flat()), alphabet);
const textOf = (...steps: number[][]) => read(...steps).map((character) => character.text);

describe("charactersFromProbabilities", () => {
  test("takes repetitions for one character unless a blank parts them", () => {
    expect(textOf(a, a, blank, a, b, b)).toEqual(["a", "a", "b"]);
  });

  test("tells the first and last step and the best score of each character", () => {
    const surer = [0, 1, 0, 0, 0];
    expect(read(blank, a, surer, a, blank)).toEqual([{ text: "a", score: 1, first: 1, last: 3, spaceBefore: 0 }]);
  });

  test("keeps a space's probability under the blank with the character after it", () => {
    const hint = [0.75, 0, 0, 0, 0.25];
    const certain = [0, 0, 0, 0, 1];
    expect(read(a, blank, hint, blank, b, certain, a).map(({ spaceBefore }) => spaceBefore)).toEqual([0, 0.25, 1]);
  });

  test("takes a wide space for a space and not for a character", () => {
    const wide = [0, 0, 0, 1, 0];
    expect(read(a, wide, b).map(({ text, spaceBefore }) => [text, spaceBefore])).toEqual([
      ["a", 0],
      ["b", 1],
    ]);
  });

  test("drops spaces at the ends", () => {
    const space = [0, 0, 0, 0, 1];
    expect(read(space, a, space).map(({ spaceBefore }) => spaceBefore)).toEqual([0]);
  });

  test("reads nothing from blanks or no steps", () => {
    expect(textOf(blank, blank)).toEqual([]);
    expect(textOf()).toEqual([]);
  });
});

test("alphabetFromDictionary puts the blank first and the space last, and keeps characters that look empty", () => {
  expect(alphabetFromDictionary("a\r\n\u3000\nb\n")).toEqual(["", "a", "\u3000", "b", " "]);
});
