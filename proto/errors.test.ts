import { expect, test } from "bun:test";
import { connectErrorFrom } from "./connect-error.ts";
import { errorTable, isReason, ServingError } from "./errors.ts";

test("an error after which trying again may help says when, in whole seconds, over Connect and gRPC too", () => {
  for (const reason of Object.keys(errorTable).filter(isReason)) {
    const isFinal = errorTable[reason].retry === "never";
    for (const [retryAfterMs, seconds] of [
      [undefined, 1],
      [0, 1],
      [1000, 1],
      [1001, 2],
      [90_000, 90],
    ] as const) {
      const error = new ServingError(reason, "x", retryAfterMs === undefined ? {} : { retryAfterMs });
      expect(error.retryAfterSeconds).toBe(isFinal ? undefined : seconds);
      expect(connectErrorFrom(error).metadata.get("retry-after")).toBe(isFinal ? null : String(seconds));
    }
  }
});
