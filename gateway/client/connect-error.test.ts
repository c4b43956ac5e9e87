import { describe, expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ServingError } from "../../proto/errors.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import { errorFromConnect } from "./connect-error.ts";

function detailOf(reason: string, engineCode = 0, padded = false): object {
  const value = Buffer.from(toBinary(ErrorDetailSchema, create(ErrorDetailSchema, { reason, engineCode })));
  const text = value.toString("base64");
  return { type: "athena.v1.ErrorDetail", value: padded ? text : text.replaceAll("=", "") };
}

function read(body: unknown, headers: Record<string, string> = {}): ServingError | undefined {
  return errorFromConnect(
    new TextEncoder().encode(JSON.stringify(body)),
    (name) => new Headers(headers).get(name) ?? undefined,
    "echo",
  );
}

describe("a Connect error", () => {
  test("becomes the error that its detail names, with base64 padded or not", () => {
    for (const padded of [false, true]) {
      const error = read({
        code: "internal",
        message: "the engine of 'echo' answered 42",
        details: [{ type: "other.Detail", value: "AA" }, detailOf("ENGINE_FAILED", 42, padded)],
      });
      expect(error).toMatchObject({
        reason: "ENGINE_FAILED",
        engineCode: 42,
        message: "the engine of 'echo' answered 42",
      });
    }
  });

  test("without a detail follows from its code, and keeps its message from callers", () => {
    const error = read({ code: "resource_exhausted", message: "/srv/app.py line 3" });
    expect(error).toMatchObject({
      reason: "SERVICE_BUSY",
      message: "service 'echo' answered 'resource_exhausted'",
      cause: { message: "/srv/app.py line 3" },
    });
    expect(read({ code: "unavailable" })?.reason).toBe("SERVICE_NOT_READY");
    expect(read({ code: "data_loss" })?.reason).toBe("INTERNAL");
    expect(read({ code: "no such code" })?.reason).toBe("INTERNAL");
  });

  test("with a reason of another version follows from its code", () => {
    expect(read({ code: "unavailable", message: "m", details: [detailOf("toString")] })?.reason).toBe(
      "SERVICE_NOT_READY",
    );
  });

  test("never claims what only this process can have seen", () => {
    expect(read({ code: "unavailable", details: [detailOf("ENDPOINT_UNREACHABLE")] })?.reason).toBe(
      "SERVICE_NOT_READY",
    );
  });

  test("has a bounded message", () => {
    const error = read({ code: "internal", message: "x".repeat(100_000), details: [detailOf("INTERNAL")] });
    expect(error?.message).toHaveLength(1024);
  });

  test("says when to come back: by Retry-After, or by the stated wait of a busy service", () => {
    const busy = { code: "resource_exhausted", details: [detailOf("SERVICE_BUSY")] };
    expect(read(busy, { "retry-after": "3", "athena-load": "1;1;0;9;700" })?.retryAfterMs).toBe(3000);
    expect(read(busy, { "athena-load": "1;1;0;9;700" })?.retryAfterMs).toBe(700);
    expect(read(busy)?.retryAfterMs).toBeUndefined();
  });

  test("is told from every other body", () => {
    for (const body of [null, [], "text", 3, {}, { code: 3 }, { message: "m" }]) expect(read(body)).toBeUndefined();
    expect(errorFromConnect(new TextEncoder().encode("<html>"), () => undefined, "echo")).toBeUndefined();
  });

  test("is read without a throw whatever its parts are", () => {
    const body = fc.record(
      { code: fc.string(), message: fc.jsonValue(), details: fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue())) },
      { requiredKeys: ["code"] },
    );
    fc.assert(fc.property(body, (value) => expect(read(value)).toBeInstanceOf(ServingError)));
    const detail = fc.record({ type: fc.constant("athena.v1.ErrorDetail"), value: fc.string() });
    fc.assert(
      fc.property(detail, (value) => expect(read({ code: "internal", details: [value] })).toBeInstanceOf(ServingError)),
    );
  });
});
