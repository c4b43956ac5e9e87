import { describe, expect, test } from "bun:test";
import { orderInput } from "./ordered-input.ts";

async function ordered(sequences: readonly number[], first = 1, maxWaiting = 500): Promise<number[]> {
  async function* arrive() {
    for (const sequence of sequences) yield { sequence };
  }
  const result: number[] = [];
  for await (const { sequence } of orderInput(arrive(), first, { holeTimeoutMs: 20, maxWaiting }))
    result.push(sequence);
  return result;
}

describe("orderInput()", () => {
  test("gives chunks in the order of their sequence, each once", async () => {
    expect(await ordered([3, 1, 2, 2, 5, 4, 1])).toEqual([1, 2, 3, 4, 5]);
  });

  test("gives chunks without a sequence as they come", async () => {
    expect(await ordered([0, 0, 1, 0])).toEqual([0, 0, 1, 0]);
  });

  test("skips a hole at the end of the input", async () => {
    expect(await ordered([1, 3, 4])).toEqual([1, 3, 4]);
  });

  test("waits for a missing chunk for a while, then goes on, and drops it when it comes late", async () => {
    const release = Promise.withResolvers<void>();
    async function* arrive() {
      yield { sequence: 1 };
      yield { sequence: 3 };
      await release.promise;
      yield { sequence: 2 };
      yield { sequence: 4 };
    }
    const result: number[] = [];
    for await (const { sequence } of orderInput(arrive(), 1, { holeTimeoutMs: 20, maxWaiting: 500 })) {
      result.push(sequence);
      // The hole is given up on while the source is silent; only then does the missing chunk arrive.
      if (sequence === 3) release.resolve();
    }
    expect(result).toEqual([1, 3, 4]);
  });

  test("refuses input when too many chunks wait for a missing one", async () => {
    await expect(ordered([2, 3, 4, 5], 1, 3)).rejects.toThrow("chunk 1 is missing, and 4 wait for it");
  });
});
