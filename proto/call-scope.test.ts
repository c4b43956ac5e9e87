import { expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { createCallScope } from "./call-scope.ts";

test("the signal of a call aborts with the first of its two, and holds nothing of the other once it is disposed of", () => {
  const long = new AbortController();
  for (const reason of ["first", "second"]) {
    const short = new AbortController();
    using joined = createCallScope(long.signal, short.signal);
    expect(getEventListeners(long.signal, "abort")).toHaveLength(1);
    short.abort(reason);
    expect(joined.signal.reason).toBe(reason);
  }
  expect(getEventListeners(long.signal, "abort")).toHaveLength(0);
  long.abort("over");
  using late = createCallScope(long.signal, new AbortController().signal);
  expect(late.signal.reason).toBe("over");
});
