import { createMean } from "./mean.ts";

/** Who waits and who is computed at a moment. */
export interface Occupancy {
  /** Calls that wait. */
  readonly waiting: number;
  /** Calls that are being computed. */
  readonly running: number;
  /** Groups that could be computed now, at least 1. */
  readonly freeLanes: number;
}

/** Decides whether a group that could be computed now waits for more calls. */
export interface Hold {
  /** A call has come; it is counted already. */
  arrived(occupancy: Pick<Occupancy, "waiting" | "running">): void;
  /** A group has been computed. */
  computed(tookMs: number): void;
  /** How long to wait for more at the most; 0: compute now. */
  msLeft(occupancy: Occupancy): number;
  /** A group is computed: the next wait is a new one. */
  end(): void;
}

/** The weight of the newest group in the mean time of a computation. */
const newestWeight = 0.2;

/**
 * Builds the rule by which groups wait. More calls are expected when more were there a moment ago than now wait or run:
 * those who ask again after each answer then come together anew, and one who is alone never waits. The wait is at most
 * `maxDelayMs`, and at most what a computation takes, because more could not be saved by it.
 */
export function createHold(maxDelayMs: number, now: () => number): Hold {
  const computation = createMean(newestWeight);
  let expected = 0;
  let since: number | undefined;
  return {
    arrived({ waiting, running }) {
      expected = Math.max(expected, waiting + running);
    },
    computed: computation.add,
    msLeft({ waiting, running, freeLanes }) {
      const missing = expected - running - waiting;
      // Each free lane takes its share of those who are expected: one must not hoard what two could compute.
      if (missing <= 0 || waiting >= Math.ceil((waiting + missing) / freeLanes)) return 0;
      since ??= now();
      const leftMs = since + Math.min(maxDelayMs, computation.value) - now();
      if (leftMs > 0) return leftMs;
      // They did not come: from now on those who are here are all that is expected.
      expected = running + waiting;
      return 0;
    },
    end() {
      since = undefined;
    },
  };
}
