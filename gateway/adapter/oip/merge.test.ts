import { expect, test } from "bun:test";
import { createMerge } from "./merge.ts";

async function* counting(name: string, gate: Promise<unknown>, left: string[]): AsyncGenerator<string> {
  try {
    await gate;
    for (const number of [1, 2]) yield `${name}${number}`;
  } finally {
    left.push(name);
  }
}

test("values come as they are there, and a source that waits holds up no other", async () => {
  const merge = createMerge<string>();
  const gate = Promise.withResolvers<void>();
  const left: string[] = [];
  merge.add(counting("slow", gate.promise, left));
  merge.add(counting("fast", Promise.resolve(), left));
  merge.close();
  const seen: string[] = [];
  for await (const value of merge.values()) {
    seen.push(value);
    if (value === "fast2") gate.resolve();
  }
  expect(seen).toEqual(["fast1", "fast2", "slow1", "slow2"]);
  expect(left).toEqual(["fast", "slow"]);
});

test("whoever leaves the values leaves the sources, and an error comes behind what was there", async () => {
  const merge = createMerge<string>();
  const left: string[] = [];
  merge.add(counting("a", Promise.resolve(), left));
  merge.add(counting("b", Promise.resolve(), left));
  for await (const _ of merge.values()) break;
  expect(left.toSorted()).toEqual(["a", "b"]);
  const failing = createMerge<string>();
  failing.close(new Error("broken"));
  await expect(failing.values().next()).rejects.toThrow("broken");
});
