import { expect, test } from "bun:test";
import { errorTable, isReason, ServingError } from "../../proto/errors.ts";
import { closeCodeFromError } from "./status.ts";

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
