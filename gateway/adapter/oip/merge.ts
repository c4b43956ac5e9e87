/** The values of several sources, each as it comes. */
export interface Merge<Value> {
  /** Reads another source, one value ahead of whoever reads the values. */
  add(source: AsyncGenerator<Value>): void;
  /** Whether a source has not ended. */
  readonly isBusy: boolean;
  /** No more are added. With an error nothing more is read either, and it is thrown behind the values that are there. */
  close(error?: unknown): void;
  /** Leaves every source, wherever it stands. */
  leave(): void;
  /** Read once. Ends when it was closed and all sources have ended; throws what one of them throws. Leaving it leaves them. */
  values(): AsyncGenerator<Value>;
}

/** Builds one without sources. How many are added is up to its user. */
export function createMerge<Value>(): Merge<Value> {
  const sources = new Set<AsyncGenerator<Value>>();
  const ready: { readonly source: AsyncGenerator<Value>; readonly value: Value }[] = [];
  let failure: { readonly error: unknown } | undefined;
  let isClosed = false;
  let changed = Promise.withResolvers<void>();

  const fail = (error: unknown): void => {
    failure ??= { error };
    changed.resolve();
  };
  const pull = async (source: AsyncGenerator<Value>): Promise<void> => {
    try {
      const { done, value } = await source.next();
      if (done === true) sources.delete(source);
      else ready.push({ source, value });
      changed.resolve();
    } catch (error) {
      sources.delete(source);
      fail(error);
    }
  };
  const leave = (): void => {
    // One that waits for something leaves when that comes: whoever adds it sees to that.
    for (const source of sources) source.return(undefined).catch(() => {});
    sources.clear();
    ready.length = 0;
  };
  return {
    get isBusy() {
      return sources.size > 0;
    },
    add(source) {
      sources.add(source);
      void pull(source);
    },
    close(error) {
      isClosed = true;
      if (error === undefined) changed.resolve();
      else fail(error);
    },
    leave,
    async *values() {
      try {
        for (;;) {
          const next = ready.shift();
          if (next !== undefined) {
            yield next.value;
            void pull(next.source);
          } else if (failure !== undefined) throw failure.error;
          else if (isClosed && sources.size === 0) return;
          else {
            await changed.promise;
            changed = Promise.withResolvers();
          }
        }
      } finally {
        leave();
      }
    },
  };
}
