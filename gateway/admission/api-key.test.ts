import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createApiKeys, isApiKey } from "./api-key.ts";

const keyOf = (id: string, letter: string) => `ak_${id}_${letter.repeat(43)}`;
const hashOf = (key: string) => `${key.slice(3, 15)}:${createHash("sha256").update(key).digest("hex")}`;

const first = keyOf("00112233aabb", "a");
const second = keyOf("00112233aabc", "b");
const find = createApiKeys([
  { owner: "one", hashes: [hashOf(first)] },
  { owner: "two", hashes: [hashOf(second)] },
]);

describe("createApiKeys()", () => {
  test("finds whose a key is", () => {
    expect(find(first)).toBe("one");
    expect(find(second)).toBe("two");
  });

  test("finds nobody for a key with another secret, another id, or that is cut or longer", () => {
    for (const key of [
      keyOf("00112233aabb", "b"),
      keyOf("ffffffffffff", "a"),
      first.slice(0, -1),
      `${first}a`,
      "",
      "ak_",
    ]) {
      expect(find(key)).toBeUndefined();
    }
  });
});

test("isApiKey() tells keys from tokens", () => {
  expect(isApiKey(first)).toBe(true);
  expect(isApiKey("eyJhbGciOiJSUzI1NiJ9.e30.x")).toBe(false);
});
