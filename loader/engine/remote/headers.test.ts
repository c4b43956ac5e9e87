import { afterEach, expect, test } from "bun:test";
import { resolveHeaders } from "./headers.ts";

const variable = "ATHENA_TEST_MODEL_KEY";

afterEach(() => {
  delete process.env[variable];
});

test("a header's value is a text, or that of an environment variable behind a prefix", () => {
  process.env[variable] = "key\n";
  const sources = { "x-tenant": "a", authorization: { variable, prefix: "Bearer " } };
  expect(resolveHeaders(sources)).toEqual({ "x-tenant": "a", authorization: "Bearer key" });
});

test("a variable that is not set, or cannot stand in a header, is named and its value is not", () => {
  const sources = { authorization: { variable, prefix: "" } };
  const message = `engine.headers.authorization: the environment variable '${variable}'`;
  expect(() => resolveHeaders(sources)).toThrow(`${message} is not set`);
  process.env[variable] = "a\nsecret";
  expect(() => resolveHeaders(sources)).toThrow(`${message} has characters that no header may have`);
});
