import { expect, test } from "bun:test";
import { createLiveness, type Liveness } from "./liveness.ts";

/** What so many ticks say, each after something was sent where `isSending`. */
function ticksOf(liveness: Liveness, count: number, isSending: boolean): string[] {
  return Array.from({ length: count }, () => {
    if (isSending) liveness.sent();
    return liveness.tick();
  });
}

const nothing = (count: number): string[] => new Array(count).fill("nothing");

test("a client that is sent results and says nothing is pinged once, and cut when the time is over", () => {
  expect(ticksOf(createLiveness(), 8, true)).toEqual([...nothing(4), "ping", ...nothing(2), "cut"]);
});

test("a client that answers is not cut, however long it sends nothing else", () => {
  const liveness = createLiveness();
  for (let i = 0; i < 5; i += 1) {
    expect(ticksOf(liveness, 7, true)).toEqual([...nothing(4), "ping", ...nothing(2)]);
    liveness.heard();
  }
});

test("a client that is sent nothing is left to Bun, and one that is sent something late is pinged before it is cut", () => {
  const liveness = createLiveness();
  expect(ticksOf(liveness, 20, false)).toEqual(nothing(20));
  expect(ticksOf(liveness, 3, true)).toEqual(["ping", "nothing", "cut"]);
});
