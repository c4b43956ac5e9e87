/**
 * The same items, until the signal aborts: from then on asking for one rejects with the signal's reason, at once and even
 * when the source is silent. Leaving early closes the source without waiting for it, because a source that waits for
 * its own next item would keep the one who leaves for as long.
 */
export function untilAborted<Item>(items: AsyncIterable<Item>, signal: AbortSignal): AsyncIterableIterator<Item> {
  const source = items[Symbol.asyncIterator]();
  let giveUp: (reason: unknown) => void = () => {};
  const onAbort = (): void => {
    giveUp(signal.reason);
    close();
  };
  const close = (): void => {
    signal.removeEventListener("abort", onAbort);
    // Whoever closes it has heard all that it wants to: a source that fails while it ends has nobody to tell.
    source.return?.().catch(() => {});
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    next() {
      if (signal.aborted) return Promise.reject(signal.reason);
      return new Promise((resolve, reject) => {
        giveUp = reject;
        source.next().then((item) => {
          if (item.done === true) signal.removeEventListener("abort", onAbort);
          resolve(item);
        }, reject);
      });
    },
    return() {
      close();
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
