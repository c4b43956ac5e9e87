/** Lets so many in at once; the others wait for their turn. */
export interface Places {
  /** Waits for a place, which is given back by disposing of it. One caller waits at a time. */
  take(): Promise<Disposable>;
}

/** Builds this many places. */
export function createPlaces(max: number): Places {
  let taken = 0;
  let freed: (() => void) | undefined;
  const place: Disposable = {
    [Symbol.dispose]() {
      taken -= 1;
      freed?.();
    },
  };
  return {
    async take() {
      while (taken >= max) {
        await new Promise<void>((resolve) => {
          freed = resolve;
        });
      }
      taken += 1;
      return place;
    },
  };
}

/** Makes sources wait for one another: each is begun when those before it have ended. */
export function createTurns(): <Value>(source: AsyncGenerator<Value>) => AsyncGenerator<Value> {
  let last: Promise<void> = Promise.resolve();
  return (source) => {
    const before = last;
    const ended = Promise.withResolvers<void>();
    last = ended.promise;
    return inTurn(source, before, ended.resolve);
  };
}

async function* inTurn<Value>(source: AsyncGenerator<Value>, before: Promise<void>, end: () => void) {
  try {
    await before;
    yield* source;
  } finally {
    end();
  }
}
