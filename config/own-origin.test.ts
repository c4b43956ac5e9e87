import { expect, test } from "bun:test";
import { isForeignPage, isOwnOrigin } from "./own-origin.ts";

test("an origin is one's own when it has the host of the request", () => {
  const isOwn = (origin: string, host: string, headers: Record<string, string> = {}) =>
    isOwnOrigin(origin, host, new Headers(headers));
  expect(isOwn("http://a.test:8080", "a.test:8080")).toBe(true);
  expect(isOwn("https://a.test", "a.test:443")).toBe(true);
  expect(isOwn("https://a.test", "10.0.0.1:30889", { "sec-fetch-site": "same-origin" })).toBe(true);
  expect(isOwn("https://a.test", "b.test", { "sec-fetch-site": "same-site" })).toBe(false);
  expect(isOwn("http://a.test:3000", "a.test:8080")).toBe(false);
  expect(isOwn("null", "null")).toBe(false);
  expect(isOwn("https://a.test", "")).toBe(false);
  expect(isOwn("file://", "")).toBe(false);
});

test("a request is a foreign page's when it names another origin, and not when it names none", () => {
  const isForeign = (headers: Record<string, string>) => isForeignPage(new Headers(headers));
  expect(isForeign({ host: "127.0.0.1:30891" })).toBe(false);
  expect(isForeign({ host: "127.0.0.1:30891", origin: "http://127.0.0.1:30891" })).toBe(false);
  expect(isForeign({ host: "127.0.0.1:30891", origin: "http://127.0.0.1:8080" })).toBe(true);
  expect(isForeign({ host: "127.0.0.1:30891", origin: "https://evil.test" })).toBe(true);
  expect(isForeign({ host: "127.0.0.1:30891", origin: "null" })).toBe(true);
});
