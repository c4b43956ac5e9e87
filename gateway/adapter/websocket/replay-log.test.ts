import { describe, expect, test } from "bun:test";
import { createReplayLog } from "./replay-log.ts";

describe("a replay log", () => {
  test("numbers frames from 1 and keeps them until they are acknowledged", () => {
    const log = createReplayLog({ maxFrames: 10, maxBytes: 100 });
    for (const data of ["a", "b", "c"]) log.add(data);
    expect([log.last, log.get(1), log.get(3), log.get(4)]).toEqual([3, "a", "c", undefined]);
    log.acknowledge(2);
    log.acknowledge(1);
    expect([log.acknowledged, log.last, log.get(2), log.get(3)]).toEqual([2, 3, undefined, "c"]);
  });

  test("asks to wait when it is full, by frames or by bytes, until some are acknowledged", async () => {
    for (const limits of [
      { maxFrames: 2, maxBytes: 100 },
      { maxFrames: 100, maxBytes: 4 },
    ]) {
      const log = createReplayLog(limits);
      log.add("ab");
      expect(log.room()).toBeUndefined();
      log.add("cd");
      const room = log.room();
      expect(room).toBeInstanceOf(Promise);
      log.acknowledge(1);
      await room;
      expect(log.room()).toBeUndefined();
    }
  });

  test("lets everybody go when it is opened", async () => {
    const log = createReplayLog({ maxFrames: 1, maxBytes: 100 });
    log.add("a");
    const room = log.room();
    log.open();
    await room;
    log.add("b");
    expect(log.room()).toBeUndefined();
  });
});
