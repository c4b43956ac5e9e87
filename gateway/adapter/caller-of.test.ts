import { expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import type { Call } from "../types.ts";
import { callerOf } from "./caller-of.ts";

const call: Call = {
  method: "POST",
  target: () => "/",
  path: "/",
  host: "",
  serviceId: "echo",
  clientAddress: "",
  header: () => null,
  signal: new AbortController().signal,
};

test("a caller who is refused before anybody looks at it is no failure of the process", async () => {
  const unseen: unknown[] = [];
  const onUnseen = (reason: unknown): void => void unseen.push(reason);
  process.on("unhandledRejection", onUnseen);
  const refusal = new ServingError("UNAUTHENTICATED", "the token has ended");
  const caller = callerOf(() => Promise.reject(refusal), call);
  // As for a request that waits for its turn.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onUnseen);
  expect(unseen).toEqual([]);
  await expect(caller).rejects.toBe(refusal);
});
