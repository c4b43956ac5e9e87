import { isDeepStrictEqual } from "node:util";
import type { Registry } from "prom-client";
import type { Logger } from "../../config/logger.ts";
import type { AdmissionConfig, AppConfig, SharedLimitsConfig } from "../../config/read-admission.ts";
import { createAdmissionMetrics } from "../telemetry/admission-metrics.ts";
import { type Admission, createAdmission } from "./admission.ts";
import { appFromConfig } from "./app-rights.ts";
import { type Credentials, createCredentials } from "./credentials.ts";
import { createMemoryLimits } from "./memory-limits.ts";
import { createMemoryReplays } from "./memory-replays.ts";
import { connectRedis, type RedisConnection } from "./redis-connection.ts";
import { createRedisLimits } from "./redis-limits.ts";
import { createSharedStores, type Stores } from "./shared-stores.ts";
import { createTokenCheck } from "./token.ts";

/** Admission at work: its connections and timers live until it is disposed of. */
export interface RunningAdmission extends Disposable {
  readonly admission: Admission;
  /**
   * Gets ready for other apps, keys, limits and issuers of tokens, while those of now hold; how signatures are judged and where
   * limits are kept stays as it was. Calls must not overlap.
   */
  prepare(config: AdmissionConfig): Promise<PreparedAdmission>;
}

/** A configuration of admission that may take over. It has to be disposed of, whether it took over or not. */
export interface PreparedAdmission extends Disposable {
  /** Holds for every request from here on; what runs keeps what it was granted. */
  takeOver(): AppChange;
}

/** How the apps have changed, by their ids. */
export interface AppChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** What admission needs of the outside. */
export interface AdmissionEnvironment {
  readonly logger: Logger;
  readonly registry: Registry;
  readonly maxBodyBytes: number;
  readonly maxPriority: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** The pause between two attempts to reach Redis. */
const redisRetryMs = 1000;
const failureLinePauseMs = 60_000;

/**
 * Puts admission to work, and waits for the first attempt to reach Redis where one is configured; when that fails the
 * gateway starts all the same.
 *
 * @throws Error when a key set of a file is none.
 */
export async function startAdmission(
  config: AdmissionConfig,
  environment: AdmissionEnvironment,
): Promise<RunningAdmission> {
  const { logger, registry, maxBodyBytes, maxPriority, now, wallClock } = environment;
  const tokens = createTokenCheck(config.tokens, {
    now,
    onFailedFetch: (issuer, err) => logger.warn({ issuer, err }, "the keys of a token issuer cannot be fetched"),
  });
  const redis = config.redis && startRedis(config.redis, environment);
  await redis?.connection.attempted;
  const metrics = createAdmissionMetrics(registry, { isStoreUp: redis && (() => redis.connection.isUp) });
  const limits = createMemoryLimits(now);
  const replays = createMemoryReplays(now, config.signature.maxRemembered);
  const local: Stores = { take: limits.take, spend: limits.spend, firstUse: replays.firstUse };
  const stores =
    redis === undefined
      ? local
      : createSharedStores({
          shared: redis.stores,
          local,
          isUp: () => redis.connection.isUp,
          whenDown: redis.whenDown,
          onFailure: createFailureReport(environment, metrics.storeFailed),
        });
  const credentialsOf = ({ apps, tokens: issuers }: AdmissionConfig): Credentials =>
    createCredentials({
      config: { ...config, apps, tokens: issuers },
      apps: new Map(apps.map((app) => [app.id, appFromConfig(app)])),
      replays: stores,
      tokens,
      wallClock,
    });
  let current = { config, credentials: credentialsOf(config) };
  return {
    admission: createAdmission({
      credentials: () => current.credentials,
      limits: stores,
      metrics,
      maxBodyBytes,
      maxPriority,
    }),
    async prepare(next) {
      const credentials = credentialsOf(next);
      const issuers = await tokens.prepare(next.tokens);
      return {
        takeOver() {
          const change = changeBetween(current.config.apps, next.apps);
          issuers.takeOver();
          current = { config: next, credentials };
          const ids = new Set(next.apps.map(({ id }) => id));
          limits.keepOnly(ids);
          replays.keepOnly(new Set(next.apps.flatMap(({ signatureKeys }) => signatureKeys.map(({ key }) => key))));
          metrics.keepOnly(ids);
          return change;
        },
        [Symbol.dispose]: () => issuers[Symbol.dispose](),
      };
    },
    [Symbol.dispose]() {
      tokens[Symbol.dispose]();
      redis?.stores[Symbol.dispose]();
      redis?.connection[Symbol.dispose]();
    },
  };
}

function changeBetween(before: readonly AppConfig[], after: readonly AppConfig[]): AppChange {
  const old = new Map(before.map((app) => [app.id, app]));
  const added: string[] = [];
  const changed: string[] = [];
  for (const app of after) {
    const previous = old.get(app.id);
    if (previous === undefined) added.push(app.id);
    else if (!isDeepStrictEqual(previous, app)) changed.push(app.id);
    old.delete(app.id);
  }
  return { added, removed: [...old.keys()], changed };
}

/** Counts every failure and writes a line for one in a minute: whatever is wrong fails with every request. */
function createFailureReport({ logger, now }: AdmissionEnvironment, count: () => void): (err: unknown) => void {
  let silentUntil = Number.NEGATIVE_INFINITY;
  return (err) => {
    count();
    if (now() < silentUntil) return;
    silentUntil = now() + failureLinePauseMs;
    logger.warn({ err }, "Redis did not carry out a command: limits are not shared meanwhile");
  };
}

function startRedis(config: SharedLimitsConfig, { logger, now }: AdmissionEnvironment) {
  const { url, prefix, leaseMs, timeoutMs, whenDown } = config;
  const connection: RedisConnection = connectRedis({
    url,
    timeoutMs,
    retryMs: redisRetryMs,
    probeKey: `${prefix}probe`,
    onChange(isUp, err) {
      if (isUp) logger.info("limits are shared through Redis");
      else logger.warn({ err, whenDown }, "Redis cannot be reached: limits are not shared");
    },
  });
  const owner = Bun.randomUUIDv7("base64url");
  return { connection, whenDown, stores: createRedisLimits({ connection, prefix, leaseMs, owner, now }) };
}
