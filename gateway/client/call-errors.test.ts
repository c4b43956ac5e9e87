import { expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import { errorFromThrown } from "./call-errors.ts";
import { createCallSignal } from "./call-signal.ts";

test("a caller whose time is over is late, and any other that leaves has canceled", () => {
  const reasonBehind = (reason?: ServingError) => {
    const signal = AbortSignal.abort(reason);
    using call = createCallSignal(signal, 60_000);
    return errorFromThrown(new Error("aborted"), "echo", signal, call).reason;
  };
  expect(reasonBehind(new ServingError("DEADLINE_EXCEEDED", "late"))).toBe("DEADLINE_EXCEEDED");
  expect(reasonBehind(new ServingError("DRAINING", "going away"))).toBe("CANCELED");
  expect(reasonBehind()).toBe("CANCELED");
});
