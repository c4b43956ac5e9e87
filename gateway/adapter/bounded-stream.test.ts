import { expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { boundedStream } from "./bounded-stream.ts";

const roomy = { idleTimeoutMs: 60_000, maxMessages: 3, isDraining: () => false };

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
  expect(await Array.fromAsync(boundedStream(count(3), roomy))).toEqual([0, 1, 2]);
});

test("a stream that has more messages than it may ends with an error behind the last", async () => {
  const seen: number[] = [];
  async function* watched() {
    for await (const number of boundedStream(count(9), roomy)) {
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
  const error = await errorOf(boundedStream(silent, { ...roomy, idleTimeoutMs: 1 }));
  expect([error.code, error.rawMessage]).toEqual([Code.DeadlineExceeded, "the stream was silent for 1 ms"]);
  expect(isClosed).toBe(true);
  const drained = await errorOf(boundedStream(silent, { ...roomy, isDraining: () => true }));
  expect([drained.code, drained.rawMessage]).toEqual([Code.Unavailable, "the gateway is shutting down"]);
});
