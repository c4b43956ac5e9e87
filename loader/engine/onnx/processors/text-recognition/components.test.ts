import { expect, test } from "bun:test";
import { connectedComponents } from "./components.ts";

function groupsOf(rows: readonly string[], minPixels = 1): number[][] {
  const width = rows[0]?.length ?? 0;
  const map = Float32Array.from(rows.join(""), (character) => (character === "#" ? 0.9 : 0.1));
  const { pixels, starts } = connectedComponents(map, width, 0.3, minPixels);
  return starts.slice(1).map((end, index) => [...pixels.subarray(starts[index], end)].toSorted((a, b) => a - b));
}

test("pixels that touch at a side or a corner are one group", () => {
  expect(groupsOf(["#..#", ".#.#", "...."])).toEqual([
    [0, 5],
    [3, 7],
  ]);
});

test("the end of a row does not touch the start of the next", () => {
  expect(groupsOf(["..#", "#.."])).toEqual([[2], [3]]);
});

test("groups that are too small are left out", () => {
  expect(groupsOf(["#..##", ".....", "##..."], 2)).toEqual([
    [3, 4],
    [10, 11],
  ]);
});

test("a map below the threshold has no groups", () => {
  expect(groupsOf(["...", "..."])).toEqual([]);
});
