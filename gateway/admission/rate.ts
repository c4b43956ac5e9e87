/**
 * A rate with a burst, as the generic cell rate algorithm keeps it: units come at least `intervalMs` apart on average,
 * and may be up to `toleranceMs` ahead of that. All that is remembered of the past is one number: when everything that
 * was let in will have been paid for.
 */
export interface Rate {
  /** Milliseconds that one unit costs. */
  readonly intervalMs: number;
  /** Milliseconds that may be owed. */
  readonly toleranceMs: number;
}

/** A rate of so many units a second, of which `burst` may come at once. */
export function createRate(perSecond: number, burst: number): Rate {
  return { intervalMs: 1000 / perSecond, toleranceMs: (burst * 1000) / perSecond };
}

/** Sums of times since 1970 are a few ten thousandths of a millisecond off; a unit that is due must not wait for them. */
export const roundingMs = 0.01;

/** Milliseconds until one more unit is let in, when all so far is paid at `paidAtMs`; 0: now. */
export function waitMs(rate: Rate, paidAtMs: number, nowMs: number): number {
  const wait = Math.max(paidAtMs, nowMs) + rate.intervalMs - rate.toleranceMs - nowMs;
  return wait > roundingMs ? wait : 0;
}

/**
 * When all will be paid once these units are let in as well. They may be more than there is left: a large request is
 * let in while a single unit would be, and what follows waits until it is paid for.
 */
export function paidAfter(rate: Rate, paidAtMs: number, nowMs: number, units: number): number {
  return Math.max(paidAtMs, nowMs) + units * rate.intervalMs;
}
