import { describe, expect, test } from "bun:test";
import { type OrderedInputOptions, orderInput } from "./ordered-input.ts";

const limits: OrderedInputOptions = {
  holeTimeoutMs: 20,
  maxWaiting: 500,
  maxWaitingBytes: 1000,
  now: () => performance.now(),
};
const chunk = (sequence: number) => ({ sequence, bytes: 1 });

async function ordered(
  sequences: readonly number[],
  changes: Partial<OrderedInputOptions> = {},
  first = 1,
): Promise<number[]> {
  async function* arrive() {
    for (const sequence of sequences) yield chunk(sequence);
  }
  const result: number[] = [];
  for await (const { sequence } of orderInput(arrive(), first, { ...limits, ...changes })) result.push(sequence);
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
      yield chunk(1);
      yield chunk(3);
      await release.promise;
      yield chunk(2);
      yield chunk(4);
    }
    const result: number[] = [];
    for await (const { sequence } of orderInput(arrive(), 1, limits)) {
      result.push(sequence);
      // The hole is given up on while the source is silent; only then does the missing chunk arrive.
      if (sequence === 3) release.resolve();
    }
    expect(result).toEqual([1, 3, 4]);
  });

  test("does not wait for a missing chunk anew with each that arrives behind it", async () => {
    const clock = { now: 0 };
    async function* arrive() {
      for (let sequence = 2; sequence < 100; sequence += 1) {
        clock.now += 8;
        yield chunk(sequence);
      }
    }
    for await (const { sequence } of orderInput(arrive(), 1, { ...limits, now: () => clock.now })) {
      // The first arrival makes the hole; three more use up its 20 ms.
      expect([sequence, clock.now]).toEqual([2, 32]);
      break;
    }
  });

  test("ends when its reader leaves, though its source is still waiting", async () => {
    async function* arrive() {
      yield chunk(2);
      await new Promise(() => {});
    }
    for await (const { sequence } of orderInput(arrive(), 1, limits)) {
      expect(sequence).toBe(2);
      break;
    }
  });

  test("refuses input when too many chunks, or too many bytes, wait for a missing one", async () => {
    await expect(ordered([2, 3, 4, 5], { maxWaiting: 3 })).rejects.toThrow("chunk 1 is missing, and 4 wait for it");
    await expect(ordered([2, 3, 4, 5], { maxWaitingBytes: 3 })).rejects.toMatchObject({ reason: "PAYLOAD_TOO_LARGE" });
    expect(await ordered([2, 3, 1, 5, 6, 4], { maxWaitingBytes: 3 })).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
