import { expect, test } from "bun:test";
import { createOrigins, isOwnOrigin } from "./origins.ts";

test("an origin is exact: scheme, host and port", () => {
  const origins = createOrigins(["https://app.example.com", "http://localhost:3000", "chrome-extension://abc"]);
  for (const origin of ["https://app.example.com", "http://localhost:3000", "chrome-extension://abc"]) {
    expect(origins.has(origin)).toBe(true);
  }
  for (const origin of [
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.net",
    "https://x.app.example.com",
    "http://localhost",
    "null",
    "",
  ]) {
    expect(origins.has(origin)).toBe(false);
  }
});

test("a wildcard means every subdomain, and not the domain itself", () => {
  const origins = createOrigins(["https://*.example.com", "http://*.test:8080"]);
  for (const origin of ["https://a.example.com", "https://a.b.example.com", "http://a.test:8080"]) {
    expect(origins.has(origin)).toBe(true);
  }
  for (const origin of [
    "https://example.com",
    "https://.example.com",
    "https://evilexample.com",
    "https://evil.net/.example.com",
    "https://evil.net:1@a.example.com",
    "http://a.example.com",
    "https://a.example.com:8443",
    "http://a.test",
  ]) {
    expect(origins.has(origin)).toBe(false);
  }
});

test("a star alone means every origin, that of a page without one too", () => {
  const origins = createOrigins(["*"]);
  expect(origins.isEvery).toBe(true);
  expect(origins.has("https://a.example.com")).toBe(true);
  expect(origins.has("null")).toBe(true);
});

test("an origin is the gateway's own when it has the host of the request", () => {
  const isOwn = (origin: string, headers: Record<string, string>) => isOwnOrigin(origin, new Headers(headers));
  expect(isOwn("http://a.test:8080", { host: "a.test:8080" })).toBe(true);
  expect(isOwn("https://a.test", { host: "a.test:443" })).toBe(true);
  expect(isOwn("https://a.test", { host: "10.0.0.1:30889", "x-forwarded-host": "a.test" })).toBe(true);
  expect(isOwn("https://a.test", { host: "10.0.0.1:30889", "sec-fetch-site": "same-origin" })).toBe(true);
  expect(isOwn("https://a.test", { host: "b.test", "sec-fetch-site": "same-site" })).toBe(false);
  expect(isOwn("http://a.test:3000", { host: "a.test:8080" })).toBe(false);
  expect(isOwn("null", { host: "null" })).toBe(false);
  expect(isOwn("https://a.test", {})).toBe(false);
  expect(isOwn("file://", { host: "" })).toBe(false);
});
