import { describe, expect, test } from "bun:test";
import type { Engine } from "../engine/engine.ts";
import { slotsOf } from "./slots.ts";

const unbatched: Engine = {
  start: async () => undefined,
  infer: () => Promise.reject(new Error("not called")),
  async *stream() {},
  async stop() {},
};
const batched: Engine = { ...unbatched, inferBatch: async () => [] };
const undeclared = { slots: { total: 0, best: 0 } };

describe("slotsOf()", () => {
  test("gives as many as the engine computes at once before it has told anything", () => {
    expect(slotsOf(undeclared, { engine: batched, lanes: 2, slots: 3 })).toEqual({ total: 3, best: 3 });
  });

  test("gives a batch for every worker, where the loader puts batches together", () => {
    const created = { lanes: 2, slots: 3 };
    expect(slotsOf(undeclared, { ...created, engine: batched }, { maxBatchRows: 8 }).total).toBe(16);
    // A model server that tells how large its own batches are is still given no more calls than its concurrency.
    expect(slotsOf(undeclared, { ...created, engine: unbatched }, { maxBatchRows: 8 }).total).toBe(3);
  });

  test("gives what service.yaml says, and no more best ones than there are", () => {
    const created = { engine: batched, lanes: 2, slots: 3 };
    expect(slotsOf({ slots: { total: 5, best: 9 } }, created, { maxBatchRows: 8 })).toEqual({ total: 5, best: 5 });
  });
});
