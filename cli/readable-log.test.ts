import { describe, expect, test } from "bun:test";
import { stripVTControlCharacters } from "node:util";
import { readableLog } from "./readable-log.ts";
import type { LogLine } from "./service-process.ts";

const shown = (line: LogLine): string | undefined => {
  const text = readableLog({ time: Date.parse("2026-01-02T03:04:05"), ...line });
  return text === undefined ? undefined : stripVTControlCharacters(text);
};

describe("readableLog()", () => {
  for (const [what, line, text] of [
    ["what user code prints", { service: "s", msg: "output", output: "hi" }, "s | hi"],
    ["progress", { service: "s", msg: "progress", progress: "loading x" }, "s loading x"],
    [
      "an answer",
      { name: "access", service: "s", msg: "request", outcome: "OK", status: 200, durationMs: 3.21 },
      "s 200 OK 3.2 ms",
    ],
    [
      "a refusal, with its reason",
      { service: "", name: "access", msg: "request", outcome: "X", status: 404, durationMs: 25.4, reason: "no" },
      "access 404 X 25 ms: no",
    ],
    [
      "an error, with its words",
      { name: "loader", level: "error", msg: "m", err: { message: "why" } },
      "loader m: why",
    ],
    ["a warning, with its reason", { service: "s", level: "warn", msg: "not ready", reason: "r" }, "s not ready: r"],
  ] as const) {
    test(`shows ${what} in one line`, () => {
      expect(shown(line)).toBe(`03:04:05 ${text}`);
    });
  }

  test("leaves out what the command tells itself", () => {
    for (const msg of ["listening", "ready", "reloaded", "draining"])
      expect(shown({ msg, name: "loader" })).toBeUndefined();
    expect(shown({ msg: "not ready", reason: "stopping", service: "s" })).toBeUndefined();
    expect(shown({ msg: "the process cannot start", level: "fatal" })).toBeUndefined();
  });
});
