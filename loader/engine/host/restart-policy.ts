/** How a worker that ended is started again. */
export interface Restart {
  /** How often it ended within the last minute without an answered call in between, this time included. */
  readonly crashes: number;
  /** So often that its code or its model must be broken. */
  readonly isLoop: boolean;
  readonly delayMs: number;
}

/** Decides when one worker is started again. */
export interface RestartPolicy {
  /** The worker has ended, or could not be started. */
  ended(): Restart;
  /** The worker has answered a call: whatever ends it next, it is not its start. */
  answered(): void;
}

/** A worker that ends this often within a minute is not started again soon. */
const loopCount = 5;
const windowMs = 60_000;
const loopPauseMs = 30_000;
const firstDelayMs = 100;

/**
 * Builds the policy of one worker: it starts again soon at first, then twice as late each time, and once it is a loop only
 * every half minute, until it answers a call or has lived for a minute. `random` spreads the workers of several services.
 */
export function createRestartPolicy(now: () => number, random: () => number): RestartPolicy {
  let ends: number[] = [];
  let isLoop = false;
  const forget = (): void => {
    ends = [];
    isLoop = false;
  };
  return {
    ended() {
      const since = now() - windowMs;
      if ((ends.at(-1) ?? Number.NEGATIVE_INFINITY) <= since) forget();
      ends = [...ends.filter((at) => at > since), now()];
      const crashes = ends.length;
      isLoop ||= crashes >= loopCount;
      const fullDelayMs = isLoop ? loopPauseMs : firstDelayMs * 2 ** (crashes - 1);
      return { crashes, isLoop, delayMs: fullDelayMs * (0.75 + random() / 4) };
    },
    answered: forget,
  };
}
