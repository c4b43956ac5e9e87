import { expect, test } from "bun:test";
import { createOrigins } from "./origins.ts";

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
