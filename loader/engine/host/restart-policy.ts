/** How a worker that ended is started again. */
export interface Restart {
  /** Workers that ended within the last minute, this one included. */
  readonly crashes: number;
  /** So many that its code or its model must be broken. */
  readonly isLoop: boolean;
  readonly delayMs: number;
}

/** A worker that ends this often within a minute is not started again soon. */
const loopCount = 5;
const windowMs = 60_000;
const loopPauseMs = 30_000;
const firstDelayMs = 100;

/**
 * Builds a policy that says, at each end of a worker, when the next one starts: soon at first, then twice as late each time,
 * and only every half minute once it is a loop. `random` spreads the workers of several services.
 */
export function createRestartPolicy(now: () => number, random: () => number): () => Restart {
  let ends: number[] = [];
  return () => {
    const since = now() - windowMs;
    ends = [...ends.filter((at) => at > since), now()];
    const crashes = ends.length;
    const isLoop = crashes >= loopCount;
    const fullDelayMs = isLoop ? loopPauseMs : firstDelayMs * 2 ** (crashes - 1);
    return { crashes, isLoop, delayMs: fullDelayMs * (0.75 + random() / 4) };
  };
}
