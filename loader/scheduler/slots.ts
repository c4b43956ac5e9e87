/** Units of concurrency: as many calls run at once as there are slots. */
export interface Slots {
  readonly total: number;
  readonly idle: number;
  /** Takes a slot that disposing gives back, once; undefined when all are taken. */
  tryAcquire(): Disposable | undefined;
  /** Changes how many there are. Those in use stay in use; while they are more than there are, none is idle. */
  resize(total: number): void;
}

/** Builds slots, all idle. `onRelease` is told of each that comes back. */
export function createSlots(first: number, onRelease: () => void = () => {}): Slots {
  let total = first;
  let idle = first;
  return {
    get total() {
      return total;
    },
    get idle() {
      return Math.max(0, idle);
    },
    tryAcquire() {
      if (idle <= 0) return undefined;
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
    resize(next) {
      idle += next - total;
      total = next;
    },
  };
}
