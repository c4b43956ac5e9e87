import { expect, test } from "bun:test";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { ReceivedCall } from "../serve-call.ts";
import { serveToInputEnd } from "./unread-input.ts";

const peer = { clientAddress: "", holdOpen() {}, letGo() {}, cut() {} };
const chunk = new Uint8Array(1_048_576);

/** A call whose client sends so many chunks, and then ends or says no more. */
function callOf(count: number, isEnded: boolean) {
  const seen = { taken: 0, isCancelled: false };
  const input: AsyncIterator<Uint8Array> = {
    async next() {
      if (seen.taken < count) {
        seen.taken += 1;
        return { done: false, value: chunk };
      }
      return isEnded ? { done: true, value: undefined } : new Promise<never>(() => {});
    },
    async throw() {
      seen.isCancelled = true;
      return { done: true, value: undefined };
    },
  };
  const request = { httpVersion: "1.1", method: "POST", url: "http://h/", header: new Headers() };
  const { signal } = new AbortController();
  const call: ReceivedCall = { ...request, signal, body: { [Symbol.asyncIterator]: () => input }, peer };
  return { call, seen };
}

/** Serves the call with a handler that reads so many chunks and leaves; gives the answer. */
async function answerTo(call: ReceivedCall, reads: number): Promise<number[]> {
  const serve = async ({ body }: ReceivedCall): Promise<UniversalServerResponse> => {
    let left = reads;
    if (left > 0) {
      for await (const _ of body as AsyncIterable<Uint8Array>) {
        left -= 1;
        if (left === 0) break;
      }
    }
    async function* answer() {
      yield new Uint8Array([1]);
      yield new Uint8Array([2]);
    }
    return { status: 200, body: answer() };
  };
  const { body } = await serveToInputEnd(call, serve);
  const chunks = await Array.fromAsync(body ?? []);
  return chunks.flatMap((bytes) => [...bytes]);
}

test.each([0, 1, 2])(
  "an answer ends when its call's input has, of which its handler has read %d chunks",
  async (reads) => {
    const { call, seen } = callOf(3, true);
    expect(await answerTo(call, reads)).toEqual([1, 2]);
    expect(seen.taken).toBe(3);
  },
);

test("input that goes on is left after some of it, and cancelled", async () => {
  const { call, seen } = callOf(1000, true);
  expect(await answerTo(call, 1)).toEqual([1, 2]);
  expect(seen).toEqual({ taken: 5, isCancelled: true });
});

test("input that neither comes nor ends is left in time, and cancelled", async () => {
  const { call, seen } = callOf(1, false);
  expect(await answerTo(call, 0)).toEqual([1, 2]);
  expect(seen).toEqual({ taken: 1, isCancelled: true });
});
