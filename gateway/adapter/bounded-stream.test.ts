import { expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { boundedStream } from "./bounded-stream.ts";

async function* count(to: number): AsyncGenerator<number> {
  for (let number = 0; number < to; number += 1) yield number;
}

async function errorOf(stream: AsyncIterable<unknown>): Promise<ConnectError> {
  return Array.fromAsync(stream).then(
    () => new ConnectError("ended"),
    (error) => ConnectError.from(error),
  );
}

test("a stream within its bounds comes as it is", async () => {
  const bounds = { idleTimeoutMs: 60_000, maxMessages: 3 };
  expect(await Array.fromAsync(boundedStream(count(3), bounds))).toEqual([0, 1, 2]);
});

test("a stream that has more messages than it may ends with an error behind the last", async () => {
  const seen: number[] = [];
  async function* watched() {
    for await (const number of boundedStream(count(9), { idleTimeoutMs: 60_000, maxMessages: 3 })) {
      seen.push(number);
      yield number;
    }
  }
  expect((await errorOf(watched())).code).toBe(Code.ResourceExhausted);
  expect(seen).toEqual([0, 1, 2]);
});

test("a stream that is silent for too long ends with an error, and its source is closed", async () => {
  let isClosed = false;
  const silent: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise<never>(() => {}),
      async return() {
        isClosed = true;
        return { done: true, value: undefined };
      },
    }),
  };
  const error = await errorOf(boundedStream(silent, { idleTimeoutMs: 1, maxMessages: 3 }));
  expect([error.code, error.rawMessage]).toEqual([Code.DeadlineExceeded, "the stream was silent for 1 ms"]);
  expect(isClosed).toBe(true);
});
