import { expect, test } from "bun:test";
import { hostOf } from "./http.ts";

test("a request's host is the one that the first proxy was asked for, however many were on its way", () => {
  const host = (headers: Record<string, string>) => hostOf(new Headers(headers));
  expect(host({ host: "10.0.0.1:30889" })).toBe("10.0.0.1:30889");
  expect(host({ host: "10.0.0.1:30889", "x-forwarded-host": "a.test:8443" })).toBe("a.test:8443");
  expect(host({ host: "10.0.0.1:30889", "x-forwarded-host": "a.test, inner.test:8080" })).toBe("a.test");
  expect(host({})).toBe("");
});
