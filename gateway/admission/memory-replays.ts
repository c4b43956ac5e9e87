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

/**
 * Remembers signatures in this process's memory; `now` is in milliseconds. Each key has room for `maxPerKey`, so that no
 * app can fill another's. A full table refuses: to forget one early would let it be used again.
 */
export function createMemoryReplays(now: () => number, maxPerKey: number): MemoryReplays {
  const uses = new Map<string, Map<string, Use>>();
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

/** Removes from the oldest on, as far as they are over: they stand nearly in the order in which they end. */
function forget(uses: Map<string, Use>, at: number): void {
  for (const [signature, { forgetAt }] of uses) {
    if (forgetAt > at) return;
    uses.delete(signature);
  }
}
