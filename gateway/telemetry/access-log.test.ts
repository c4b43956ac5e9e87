import { describe, expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import { createAccessLog } from "./access-log.ts";

function linesOf(error?: ServingError): Record<string, unknown>[] {
  const lines: string[] = [];
  const log = createAccessLog({ write: (line) => lines.push(line), flushSync() {} }, () => 7);
  const entry = { sid: "s", service: "echo", status: 200, durationMs: 1.23456, client: "::1" };
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
});
