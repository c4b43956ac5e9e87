import type { LimitName, LimitStore, ReplayStore, Share, Verdict } from "./limit-store.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { firstUseScript, renewScript, spendScript, takeScript } from "./redis-scripts.ts";

/** What keeps limits in Redis. */
export interface RedisLimitOptions {
  readonly connection: RedisConnection;
  /** What every key begins with. */
  readonly prefix: string;
  /** How long a lease holds when nobody renews it. */
  readonly leaseMs: number;
  /** Begins the ids of this process's leases; no other process may have it. */
  readonly owner: string;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Stands in for Redis's own clock, in milliseconds; for tests. */
  readonly serverNow?: () => number;
}

/** Limits that all gateways on one Redis share. */
export interface RedisLimits extends LimitStore, ReplayStore, Disposable {
  /** Renews the leases that were taken or renewed a while ago; runs by itself three times in each `leaseMs`. */
  renew(): Promise<void>;
}

interface Lease {
  readonly key: string;
  readonly id: string;
  renewedAt: number;
}

/** Leases in one command of a renewal. */
const renewalSize = 500;

/**
 * Keeps limits and used signatures in Redis, one script for each request. Every call rejects with what the connection
 * throws; nothing is tried twice. A lease that is not renewed ends by itself, so that a gateway that dies gives back what
 * it held; and a renewal tells Redis again of leases that it has forgotten over a restart.
 */
export function createRedisLimits(options: RedisLimitOptions): RedisLimits {
  const { connection, prefix, leaseMs, now } = options;
  const time = (): string => (options.serverNow === undefined ? "" : String(options.serverNow()));
  const leases = new Set<Lease>();
  let counter = 0;

  const release = (lease: Lease): void => {
    // Where this fails the lease is not renewed any more, and ends by itself.
    if (leases.delete(lease)) connection.send("ZREM", [lease.key, lease.id]).catch(() => {});
  };
  const renew = async (): Promise<void> => {
    const at = now();
    const due = Array.from(leases).filter(({ renewedAt }) => at - renewedAt >= leaseMs / 3);
    const byKey = Map.groupBy(due, ({ key }) => key);
    for (const [key, ofKey] of byKey) {
      for (let from = 0; from < ofKey.length; from += renewalSize) {
        // One that was given back meanwhile must not come to life again.
        const part = ofKey.slice(from, from + renewalSize).filter((lease) => leases.has(lease));
        if (part.length === 0) continue;
        await connection.run(renewScript, [key], [time(), String(leaseMs), ...part.map(({ id }) => id)]);
        for (const lease of part) lease.renewedAt = at;
      }
    }
  };
  // While Redis cannot be reached there is nothing to renew; the next time comes soon enough.
  const timer = setInterval(() => void renew().catch(() => {}), leaseMs / 3);
  timer.unref();

  return {
    renew,
    async take(share) {
      counter += 1;
      const lease = { key: leaseKey(prefix, share), id: `${options.owner}:${counter}`, renewedAt: now() };
      const result = await connection.run(takeScript, keysOf(prefix, share), [
        time(),
        ...argumentsOf(share, lease.id, leaseMs),
      ]);
      const refusal = refusalFrom(result, share);
      if (refusal !== undefined) return refusal;
      if (share.maxOpen !== undefined) leases.add(lease);
      return { [Symbol.dispose]: () => release(lease) };
    },
    async spend(app, rate, bytes) {
      const args = [time(), String(rate.intervalMs), String(rate.toleranceMs), String(bytes)];
      return Number(await connection.run(spendScript, [`${prefix}{${app}}:bytes`], args));
    },
    async firstUse(key, signature, keepMs) {
      const name = `${prefix}{${key}}:used:${signature}`;
      const since = await connection.run(firstUseScript, [name], [time(), String(Math.max(1, Math.ceil(keepMs)))]);
      return since === "" ? undefined : Number(since);
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function keysOf(prefix: string, share: Share): readonly string[] {
  // What stands in braces decides the node of a cluster: all keys of one app are on one.
  return [`${prefix}{${share.app}}:requests`, `${prefix}{${share.app}}:bytes`, leaseKey(prefix, share)];
}

function leaseKey(prefix: string, share: Share): string {
  return `${prefix}{${share.app}}:${share.kind}s`;
}

function argumentsOf(share: Share, leaseId: string, leaseMs: number): readonly string[] {
  const { requests, bytes, byteCount, maxOpen } = share;
  const rates = [
    requests?.intervalMs,
    requests?.toleranceMs,
    bytes?.intervalMs,
    bytes?.toleranceMs,
    byteCount,
    maxOpen,
  ];
  return [...rates.map((value) => (value === undefined ? "" : String(value))), leaseId, String(leaseMs)];
}

function refusalFrom(result: unknown, share: Share): Exclude<Verdict, Disposable> | undefined {
  if (!Array.isArray(result)) throw new Error("Redis answered what the script does not give");
  if (result.length === 0) return undefined;
  const limits: Readonly<Record<string, LimitName>> = {
    requests: "requests",
    bytes: "bytes",
    open: share.kind === "call" ? "calls" : "sessions",
  };
  const limit = limits[String(result[0])];
  if (limit === undefined) throw new Error("Redis answered what the script does not give");
  return { limit, waitMs: Number(result[1]) };
}
