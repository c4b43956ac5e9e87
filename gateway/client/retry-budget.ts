/** Bounds how many calls of a service are second attempts, so that retries never multiply an overload. */
export interface RetryBudget {
  /** Counts one request; each earns a part of a retry. */
  countRequest(): void;
  /** Takes one retry out of the budget; false when it is spent. */
  tryRetry(): boolean;
}

/** What {@link createRetryBudget} may be told. */
export interface RetryBudgetOptions {
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Retries that one request earns; 0.2 unless told. */
  readonly ratio?: number;
  /** Retries a second that are allowed whatever the traffic; 10 unless told. */
  readonly minPerSecond?: number;
}

/**
 * How far back requests count. A loader that is killed loses all its calls at once: they are retried out of what the
 * last ten seconds earned, not out of what came in at that moment.
 */
const windowSeconds = 10;

/**
 * Builds a token bucket whose tokens expire: over any ten seconds there are at most `ratio` retries for each request of
 * them and `minPerSecond` for each second. It starts with the latter, so a quiet service retries too.
 */
export function createRetryBudget({ now, ratio = 0.2, minPerSecond = 10 }: RetryBudgetOptions): RetryBudget {
  // One slot for each second of the window, the newest last; the old ones are dropped as time passes.
  const slots: { readonly second: number; requests: number; retries: number }[] = [];

  const currentSlot = (): { requests: number; retries: number } => {
    const second = Math.floor(now() / 1000);
    const last = slots.at(-1);
    if (last?.second === second) return last;
    const slot = { second, requests: 0, retries: 0 };
    slots.push(slot);
    while ((slots[0]?.second ?? second) <= second - windowSeconds) slots.shift();
    return slot;
  };

  return {
    countRequest() {
      currentSlot().requests += 1;
    },
    tryRetry() {
      const current = currentSlot();
      let earned = minPerSecond * windowSeconds;
      let spent = 0;
      for (const { requests, retries } of slots) {
        earned += requests * ratio;
        spent += retries;
      }
      if (spent + 1 > earned) return false;
      current.retries += 1;
      return true;
    },
  };
}
