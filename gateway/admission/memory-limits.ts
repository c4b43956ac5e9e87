import type { Kind, LimitStore, Refusal, Share } from "./limit-store.ts";
import { paidAfter, type Rate, waitMs } from "./rate.ts";

/** What one app uses now. */
interface Usage {
  requestsPaidAt: number;
  bytesPaidAt: number;
  readonly open: Record<Kind, number>;
}

/** A limit store that forgets. */
export interface MemoryLimits extends LimitStore {
  /** Forgets other apps, once they have nothing open and owe nothing: one that comes back meanwhile begins where it was. */
  keepOnly(apps: ReadonlySet<string>): void;
}

/**
 * Keeps limits in this process's memory; `now` is in milliseconds. One entry for each app that ever called: apps come
 * from the configuration, so their number is bounded.
 */
export function createMemoryLimits(now: () => number): MemoryLimits {
  const usages = new Map<string, Usage>();
  const usageOf = (app: string): Usage => {
    let usage = usages.get(app);
    if (usage === undefined) {
      usage = { requestsPaidAt: 0, bytesPaidAt: 0, open: { call: 0, session: 0 } };
      usages.set(app, usage);
    }
    return usage;
  };
  return {
    take(share) {
      const usage = usageOf(share.app);
      const at = now();
      const refusal = refusalOf(share, usage, at);
      if (refusal !== undefined) return refusal;
      if (share.requests) usage.requestsPaidAt = paidAfter(share.requests, usage.requestsPaidAt, at, 1);
      if (share.bytes) usage.bytesPaidAt = paidAfter(share.bytes, usage.bytesPaidAt, at, share.byteCount);
      usage.open[share.kind] += 1;
      let isOpen = true;
      return {
        [Symbol.dispose]() {
          if (isOpen) usage.open[share.kind] -= 1;
          isOpen = false;
        },
      };
    },
    spend(app, rate: Rate, bytes) {
      const usage = usageOf(app);
      const at = now();
      const wait = waitMs(rate, usage.bytesPaidAt, at);
      if (wait === 0) usage.bytesPaidAt = paidAfter(rate, usage.bytesPaidAt, at, bytes);
      return wait;
    },
    keepOnly(apps) {
      const at = now();
      for (const [app, { open, requestsPaidAt, bytesPaidAt }] of usages) {
        const isIdle = open.call + open.session === 0 && Math.max(requestsPaidAt, bytesPaidAt) <= at;
        if (isIdle && !apps.has(app)) usages.delete(app);
      }
    },
  };
}

function refusalOf(share: Share, usage: Usage, at: number): Refusal | undefined {
  const { kind, requests, bytes, maxOpen } = share;
  if (maxOpen !== undefined && usage.open[kind] >= maxOpen) {
    return { limit: kind === "call" ? "calls" : "sessions", waitMs: 0 };
  }
  const requestsWait = requests === undefined ? 0 : waitMs(requests, usage.requestsPaidAt, at);
  if (requestsWait > 0) return { limit: "requests", waitMs: requestsWait };
  const bytesWait = bytes === undefined ? 0 : waitMs(bytes, usage.bytesPaidAt, at);
  return bytesWait > 0 ? { limit: "bytes", waitMs: bytesWait } : undefined;
}
