/** One who waits. */
export interface Waiter {
  /** Higher goes first; equals go in the order in which they came. */
  readonly priority: number;
  readonly wake: () => void;
}

/** A bounded queue by priority, then by arrival. */
export interface Queue {
  readonly length: number;
  /** Whether another may wait. */
  readonly isFull: boolean;
  add(waiter: Waiter): void;
  /** Takes out one that no longer waits; nothing when it is not there. */
  remove(waiter: Waiter): void;
  /** Takes out the next. */
  shift(): Waiter | undefined;
}

/** Builds an empty queue for at most `maxLength` waiters. */
export function createQueue(maxLength: number): Queue {
  // A Set keeps the order of arrival and removes from the middle at no cost; empty levels are dropped.
  const levels = new Map<number, Set<Waiter>>();
  let length = 0;
  const remove = (waiter: Waiter): void => {
    const level = levels.get(waiter.priority);
    if (level?.delete(waiter) !== true) return;
    length -= 1;
    if (level.size === 0) levels.delete(waiter.priority);
  };
  return {
    get length() {
      return length;
    },
    get isFull() {
      return length >= maxLength;
    },
    add(waiter) {
      const level = levels.get(waiter.priority) ?? new Set();
      levels.set(waiter.priority, level.add(waiter));
      length += 1;
    },
    remove,
    shift() {
      if (length === 0) return undefined;
      const highest = levels.size === 1 ? levels.values().next().value : levels.get(Math.max(...levels.keys()));
      const waiter = highest?.values().next().value;
      if (waiter !== undefined) remove(waiter);
      return waiter;
    },
  };
}
