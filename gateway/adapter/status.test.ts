import { describe, expect, test } from "bun:test";
import { errorTable, isReason, ServingError } from "../../proto/errors.ts";
import { closeCodeFromError, httpStatusFromError } from "./status.ts";

describe("httpStatusFromError()", () => {
  const busy = new ServingError("SERVICE_BUSY", "busy");
  const refused = new ServingError("ENGINE_FAILED", "no", { engineCode: 7 });

  test("is the table's, unless the service has one of its own for the code", () => {
    expect(httpStatusFromError(busy)).toBe(429);
    expect(httpStatusFromError(busy, new Map([[10110, 503]]))).toBe(503);
    expect(httpStatusFromError(busy, new Map([[10111, 503]]))).toBe(429);
  });

  test("looks at the engine's own code before the code that callers get", () => {
    const both = new Map([
      [7, 422],
      [10909, 502],
    ]);
    expect(httpStatusFromError(refused, both)).toBe(422);
    expect(httpStatusFromError(refused, new Map([[10909, 502]]))).toBe(502);
    expect(httpStatusFromError(new ServingError("ENGINE_FAILED", "no"), both)).toBe(502);
  });
});

test("every reason has a close code that clients may be sent, and says whose fault the end was", () => {
  const codes = Object.fromEntries(
    Object.keys(errorTable)
      .filter(isReason)
      .map((reason) => [reason, closeCodeFromError(new ServingError(reason, "x"))]),
  );
  for (const code of Object.values(codes)) expect(code === 1001 || code >= 1003).toBe(true);
  expect(codes).toMatchObject({
    DRAINING: 1001,
    SCHEMA_VIOLATION: 1008,
    PAYLOAD_TOO_LARGE: 1009,
    ENGINE_FAILED: 1011,
    SERVICE_BUSY: 1013,
    ENDPOINT_LOST: 1013,
    SERVICE_NOT_FOUND: 4404,
    SESSION_TIMEOUT: 4408,
  });
});
