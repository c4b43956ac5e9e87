import { describe, expect, test } from "bun:test";
import type { SessionFrame } from "../../types.ts";
import { createByteBudget, createInbox } from "./inbox.ts";

function frame(sequence: number): SessionFrame {
  return { envelope: { header: {}, parameter: {}, payload: [] }, sequence };
}

describe("an inbox", () => {
  test("gives frames in order, those that wait and those that are waited for, until its end", async () => {
    const inbox = createInbox({ maxBytes: 100, budget: createByteBudget(100) });
    for (const sequence of [1, 2]) expect(inbox.push(frame(sequence), 10)).toBe(true);
    const seen: (number | undefined)[] = [];
    const reading = (async () => {
      for await (const { sequence } of inbox) seen.push(sequence);
    })();
    await Promise.resolve();
    expect(inbox.push(frame(3), 10)).toBe(true);
    inbox.end();
    await reading;
    expect(seen).toEqual([1, 2, 3]);
  });

  test("takes one frame whatever its size, and others within its bytes", () => {
    const inbox = createInbox({ maxBytes: 100, budget: createByteBudget(1000) });
    expect(inbox.push(frame(1), 500)).toBe(true);
    expect(inbox.push(frame(2), 1)).toBe(false);
  });

  test("bounds the number of frames too, however small they are", () => {
    const inbox = createInbox({ maxBytes: 1_000_000, budget: createByteBudget(1_000_000) });
    let taken = 0;
    while (inbox.push(frame(taken), 2)) taken += 1;
    expect(taken).toBe(4096);
  });

  test("takes from a budget that all share, and gives back what is read and what is left", async () => {
    const budget = createByteBudget(100);
    const [one, other] = [createInbox({ maxBytes: 100, budget }), createInbox({ maxBytes: 100, budget })];
    expect(one.push(frame(1), 60)).toBe(true);
    expect(other.push(frame(1), 60)).toBe(false);
    const reader = one[Symbol.asyncIterator]();
    await reader.next();
    expect(other.push(frame(1), 60)).toBe(true);
    await other[Symbol.asyncIterator]().return?.();
    expect(budget.take(100)).toBe(true);
  });

  test("ends for a reader that waits when it is closed, and drops what comes after", async () => {
    const inbox = createInbox({ maxBytes: 100, budget: createByteBudget(100) });
    const reader = inbox[Symbol.asyncIterator]();
    const waiting = reader.next();
    await reader.return?.();
    expect(await waiting).toMatchObject({ done: true });
    expect(inbox.push(frame(1), 10)).toBe(true);
    expect(await reader.next()).toMatchObject({ done: true });
  });
});
