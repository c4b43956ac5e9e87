/** Lets one at a time in for each key, in the order in which they came. */
export interface KeyedLock {
  /** Resolves with what gives the place free. Rejects with the signal's reason when it aborts before its turn. */
  acquire(key: number, signal: AbortSignal): Promise<Disposable>;
  /** Keys that somebody holds or waits for. */
  keys(): readonly number[];
}

/** Builds a lock that nobody holds. */
export function createKeyedLock(): KeyedLock {
  const tails = new Map<number, Promise<void>>();
  return {
    async acquire(key, signal) {
      const before = tails.get(key) ?? Promise.resolve();
      const mine = Promise.withResolvers<void>();
      const tail = before.then(() => mine.promise);
      tails.set(key, tail);
      void tail.then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
      const aborted = Promise.withResolvers<never>();
      const onAbort = (): void => aborted.reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      try {
        await Promise.race([aborted.promise, before]);
      } catch (error) {
        mine.resolve();
        throw error;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
      return { [Symbol.dispose]: mine.resolve };
    },
    keys: () => [...tails.keys()],
  };
}
