import { expect, test } from "bun:test";
import { timelyBody } from "./timely-body.ts";

const chunk = new Uint8Array([1]);
const never = new AbortController().signal;

test("a body that is complete in time comes as it is", async () => {
  async function* body() {
    yield chunk;
    yield chunk;
  }
  expect(await Array.fromAsync(timelyBody(body(), 60_000, never))).toEqual([chunk, chunk]);
});

test("a body that is not complete in time ends with an error, and its source is closed", async () => {
  let isClosed = false;
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise<never>(() => {}),
      async return() {
        isClosed = true;
        return { done: true, value: undefined };
      },
    }),
  };
  await expect(Array.fromAsync(timelyBody(body, 1, never))).rejects.toThrow("the request was not complete within 1 ms");
  expect(isClosed).toBe(true);
});

test("a body that is left early closes its source", async () => {
  let isClosed = false;
  async function* body() {
    try {
      yield chunk;
      yield chunk;
    } finally {
      isClosed = true;
    }
  }
  for await (const _ of timelyBody(body(), 60_000, never)) break;
  expect(isClosed).toBe(true);
});
