import { expect, test } from "bun:test";
import { untilAborted } from "./until-aborted.ts";

/** Gives these, then stays silent for ever; tells when it was closed. */
function silentAfter(items: readonly number[]) {
  const closed = Promise.withResolvers<string>();
  const rest = [...items];
  const source: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        const value = rest.shift();
        return value === undefined ? new Promise(() => {}) : Promise.resolve({ done: false, value });
      },
      async return() {
        closed.resolve("closed");
        return { done: true, value: undefined };
      },
    }),
  };
  return { source, closed: closed.promise };
}

test("items pass until the signal aborts, which ends the wait for the next at once and closes the source", async () => {
  const { source, closed } = silentAfter([1, 2]);
  const abort = new AbortController();
  const items = untilAborted(source, abort.signal);
  expect([await items.next(), await items.next()]).toMatchObject([{ value: 1 }, { value: 2 }]);
  const next = items.next();
  abort.abort(new Error("over"));
  await expect(next).rejects.toThrow("over");
  await expect(items.next()).rejects.toThrow("over");
  expect(await closed).toBe("closed");
});

test("leaving early does not wait for a source that is waiting itself", async () => {
  async function* stuck(): AsyncGenerator<number> {
    yield 1;
    await new Promise(() => {});
  }
  const items = untilAborted(stuck(), new AbortController().signal);
  await items.next();
  void items.next();
  expect(await items.return?.()).toMatchObject({ done: true });
});

test("the end and the failure of the source are its own", async () => {
  async function* failing(): AsyncGenerator<number> {
    yield 1;
    throw new Error("broken");
  }
  const items = untilAborted(failing(), new AbortController().signal);
  await items.next();
  await expect(items.next()).rejects.toThrow("broken");
  expect(await items.next()).toMatchObject({ done: true });
});
