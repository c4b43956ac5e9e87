/** Units of concurrency: as many calls run at once as there are slots. */
export interface Slots {
  readonly total: number;
  readonly idle: number;
  /** Takes a slot that disposing gives back, once; undefined when all are taken. */
  tryAcquire(): Disposable | undefined;
}

/** Builds slots, all idle. `onRelease` is told of each that comes back. */
export function createSlots(total: number, onRelease: () => void = () => {}): Slots {
  let idle = total;
  return {
    total,
    get idle() {
      return idle;
    },
    tryAcquire() {
      if (idle === 0) return undefined;
      idle -= 1;
      let held = true;
      return {
        [Symbol.dispose]() {
          if (!held) return;
          held = false;
          idle += 1;
          onRelease();
        },
      };
    },
  };
}
