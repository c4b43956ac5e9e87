import { describe, expect, test } from "bun:test";
import { createMemoryReplays } from "./memory-replays.ts";

describe("createMemoryReplays()", () => {
  test("refuses what it could not remember, for that key alone, until something is over", () => {
    let now = 0;
    const replays = createMemoryReplays(() => now, 2);
    replays.firstUse("k", "a", 1000);
    replays.firstUse("k", "b", 2000);
    expect(() => replays.firstUse("k", "c", 1000)).toThrow("too many signatures");
    expect(replays.firstUse("k", "a", 1000)).toBe(0);
    expect(replays.firstUse("other", "c", 1000)).toBeUndefined();
    now = 1000;
    expect(replays.firstUse("k", "c", 1000)).toBeUndefined();
    expect(() => replays.firstUse("k", "d", 1000)).toThrow("too many signatures");
  });

  test("remembers a signature for as long as it was told, though others before it end later", () => {
    let now = 0;
    const replays = createMemoryReplays(() => now, 10);
    replays.firstUse("k", "long", 5000);
    replays.firstUse("k", "short", 1000);
    now = 999;
    expect(replays.firstUse("k", "short", 1000)).toBe(999);
    now = 1001;
    expect(replays.firstUse("k", "short", 1000)).toBeUndefined();
    now = 1002;
    expect(replays.firstUse("k", "short", 1000)).toBe(1);
    expect(replays.firstUse("k", "long", 5000)).toBe(1002);
  });

  test("remembers a key's signatures though the key is taken out, until they are over", () => {
    let now = 0;
    const replays = createMemoryReplays(() => now, 10);
    replays.firstUse("k", "a", 1000);
    replays.keepOnly(new Set());
    expect(replays.firstUse("k", "a", 1000)).toBe(0);
    now = 1000;
    replays.keepOnly(new Set());
    expect(replays.firstUse("k", "a", 1000)).toBeUndefined();
  });
});
