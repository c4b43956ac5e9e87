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

  test("refuses what it could not remember of all keys together, until something of any of them is over", () => {
    let now = 0;
    const replays = createMemoryReplays(() => now, 2);
    for (let key = 0; key < 10; key++) {
      replays.firstUse(`k${key}`, "a", 1000);
      replays.firstUse(`k${key}`, "b", 3000);
    }
    const refused = "too many signatures are in use";
    expect(() => replays.firstUse("new", "a", 1000)).toThrow(refused);
    expect(replays.firstUse("k3", "a", 1000)).toBe(0);
    now = 1000;
    for (let key = 0; key < 10; key++) expect(replays.firstUse(`k${key}`, "c", 9000)).toBeUndefined();
    expect(() => replays.firstUse("new", "a", 9000)).toThrow(refused);
    // Of keys that nobody uses any more as well.
    now = 3000;
    for (let key = 0; key < 10; key++) expect(replays.firstUse(`later${key}`, "a", 9000)).toBeUndefined();
    expect(() => replays.firstUse("last", "a", 9000)).toThrow(refused);
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
