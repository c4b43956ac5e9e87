import { ServingError } from "../../proto/errors.ts";

/** A replay store that answers at once. */
export interface MemoryReplays {
  firstUse(key: string, signature: string, keepMs: number): number | undefined;
  /** Forgets other keys, once all of their signatures are over: one that comes back must not make an old one valid again. */
  keepOnly(keys: ReadonlySet<string>): void;
}

interface Use {
  readonly firstAt: number;
  readonly forgetAt: number;
}

/** How many keys may fill their own room before there is none for the others. */
const fullKeys = 10;
/** A full table is looked through from end to end no more often than this. */
const sweepPauseMs = 1000;

/**
 * Remembers signatures in this process's memory; `now` is in milliseconds. Each key has room for `maxPerKey`, so that no
 * key can fill another's; all together have room for ten times as many. A full table refuses: to forget one early would
 * let it be used again.
 */
export function createMemoryReplays(now: () => number, maxPerKey: number): MemoryReplays {
  const uses = new Map<string, Map<string, Use>>();
  let count = 0;
  let sweepAt = Number.NEGATIVE_INFINITY;
  const forget = (ofKey: Map<string, Use>, at: number): void => {
    count -= forgetEnded(ofKey, at);
  };
  /** Keys that nobody uses any more hold theirs until somebody looks. */
  const isFull = (at: number): boolean => {
    if (count < fullKeys * maxPerKey) return false;
    if (at >= sweepAt) {
      sweepAt = at + sweepPauseMs;
      for (const ofKey of uses.values()) forget(ofKey, at);
    }
    return count >= fullKeys * maxPerKey;
  };
  return {
    firstUse(key, signature, keepMs) {
      const at = now();
      let ofKey = uses.get(key);
      if (ofKey === undefined) {
        ofKey = new Map();
        uses.set(key, ofKey);
      }
      forget(ofKey, at);
      const known = ofKey.get(signature);
      if (known !== undefined && known.forgetAt > at) return at - known.firstAt;
      if (ofKey.size >= maxPerKey) {
        throw new ServingError("ADMISSION_UNAVAILABLE", "too many signatures of this key are in use at once");
      }
      if (known === undefined && isFull(at)) {
        throw new ServingError("ADMISSION_UNAVAILABLE", "too many signatures are in use at once");
      }
      if (known === undefined) count += 1;
      ofKey.set(signature, { firstAt: at, forgetAt: at + keepMs });
      return undefined;
    },
    keepOnly(keys) {
      const at = now();
      for (const [key, ofKey] of uses) {
        if (keys.has(key)) continue;
        forget(ofKey, at);
        if (ofKey.size === 0) uses.delete(key);
      }
    },
  };
}

/** Removes from the oldest on, as far as they are over, and counts them: they stand nearly in the order in which they end. */
function forgetEnded(uses: Map<string, Use>, at: number): number {
  let ended = 0;
  for (const [signature, { forgetAt }] of uses) {
    if (forgetAt > at) break;
    uses.delete(signature);
    ended += 1;
  }
  return ended;
}
