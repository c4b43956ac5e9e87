import { describe, expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import { createAccessLog } from "./access-log.ts";

function linesOf(error?: ServingError): Record<string, unknown>[] {
  const lines: string[] = [];
  const log = createAccessLog({ write: (line) => lines.push(line), flush: (done) => done() }, () => 7);
  const entry = {
    sid: "s",
    service: "echo",
    protocol: "http",
    status: 200,
    durationMs: 1.23456,
    client: "::1",
  } as const;
  log.write({ ...entry, outcome: error?.reason ?? "OK", ...(error === undefined ? {} : { error }) });
  return lines.map((line) => JSON.parse(line));
}

describe("the access log", () => {
  test("writes a request as one line", () => {
    expect(linesOf()).toEqual([
      {
        level: "info",
        time: 7,
        name: "access",
        sid: "s",
        service: "echo",
        protocol: "http",
        status: 200,
        durationMs: 1.235,
        client: "::1",
        outcome: "OK",
        msg: "request",
      },
    ]);
  });

  test("says why a request failed, with the cause that its caller was not told", () => {
    const [line] = linesOf(new ServingError("ENDPOINT_LOST", "lost", { cause: new Error("ECONNRESET") }));
    expect(line).toMatchObject({ level: "warn", reason: "lost", err: { message: "ECONNRESET" } });
  });

  test("keeps the stack of our own faults", () => {
    const [line] = linesOf(ServingError.from(new TypeError("a bug")));
    expect(JSON.stringify(line?.err)).toContain("access-log.test.ts");
  });

  test("writes a session as one line, with its frames and its first result", () => {
    const lines: string[] = [];
    const log = createAccessLog({ write: (line) => lines.push(line), flush: (done) => done() }, () => 7);
    const entry = { sid: "s", service: "echo", protocol: "websocket", client: "::1", framesIn: 3, framesOut: 2 };
    const error = new ServingError("SESSION_TIMEOUT", "silent");
    log.writeSession({ ...entry, outcome: "OK", durationMs: 9.00049, firstResultMs: 1.5, error: undefined });
    log.writeSession({ ...entry, outcome: "SESSION_TIMEOUT", durationMs: 9, firstResultMs: undefined, error });
    const common = { time: 7, name: "access", ...entry, durationMs: 9, msg: "session" };
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { ...common, level: "info", outcome: "OK", firstResultMs: 1.5 },
      { ...common, level: "warn", outcome: "SESSION_TIMEOUT", reason: "silent" },
    ]);
  });
});
