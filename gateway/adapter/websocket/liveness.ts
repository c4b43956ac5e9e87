/**
 * Finds out that a client is gone while results are sent to it. Bun pings a client that is silent and closes its connection in
 * time, but its timer begins anew with all that is sent, and a network takes much before it says that nobody is there.
 */
export interface Liveness {
  /** Something came from the client. */
  heard(): void;
  /** Something was sent to it. */
  sent(): void;
  /** What is to be done now; asked {@link ticksPerTimeout} times in the time that a client may leave pings unanswered. */
  tick(): "nothing" | "ping" | "cut";
}

/** How often {@link Liveness.tick} is to be asked in the time that a client may leave pings unanswered. */
export const ticksPerTimeout = 8;
/** After so many ticks of silence a client is pinged. */
const pingAfter = 5;
/** So many ticks it has for its answer, at least. */
const patience = 2;

/** Builds the liveness of one connection, from when it opens. */
export function createLiveness(): Liveness {
  let silent = 0;
  let hasSent = false;
  let pingedAt: number | undefined;
  return {
    heard() {
      silent = 0;
      hasSent = false;
      pingedAt = undefined;
    },
    sent() {
      hasSent = true;
    },
    tick() {
      silent += 1;
      if (!hasSent || silent < pingAfter) return "nothing";
      if (pingedAt === undefined) {
        pingedAt = silent;
        return "ping";
      }
      return silent >= ticksPerTimeout && silent - pingedAt >= patience ? "cut" : "nothing";
    },
  };
}
