import { describe, expect, test } from "bun:test";
import { type BatchSize, createBatchSize } from "./batch-size.ts";

/** Runs a model under load: as many rows as are asked for always wait. Gives the share of the best throughput it had. */
function shareOfBest(size: BatchSize, runs: number, msFromRows: (rows: number) => number, maxRows: number): number {
  let rows = 0;
  let tookMs = 0;
  for (let run = 0; run < runs; run += 1) {
    const { limit } = size;
    const ms = msFromRows(limit);
    rows += limit;
    tookMs += ms;
    size.observe(limit, maxRows * 4, ms);
  }
  const best = Math.max(...Array.from({ length: maxRows }, (_, index) => (index + 1) / msFromRows(index + 1)));
  return rows / tookMs / best;
}

describe("the size of a batch", () => {
  const models = {
    "that is fastest with many rows": (rows: number) => 10 + rows,
    "that is fastest with few rows, beyond which its caches are too small": (rows: number) =>
      rows <= 4 ? 2 + rows : rows * 2.5,
    "that gains nothing from more rows": (rows: number) => rows * 3,
  };
  for (const [name, msFromRows] of Object.entries(models)) {
    test(`reaches nine tenths of the best throughput of a model ${name}`, () => {
      const size = createBatchSize(32);
      expect(shareOfBest(size, 1000, msFromRows, 32)).toBeGreaterThan(0.9);
    });
  }

  test("follows a model that changes", () => {
    const size = createBatchSize(32);
    shareOfBest(size, 200, (rows) => 10 + rows, 32);
    shareOfBest(size, 2000, (rows) => rows ** 1.5, 32);
    expect(shareOfBest(size, 1000, (rows) => rows ** 1.5, 32)).toBeGreaterThan(0.9);
  });

  test("is the largest for one who is alone, and not learned from a call that is larger than any", () => {
    const size = createBatchSize(20);
    for (let run = 0; run < 100; run += 1) size.observe(1, 1, 5);
    size.observe(1000, 1000, 1);
    expect(size.limit).toBe(20);
  });
});
