import type { Logger } from "../../config/logger.ts";
import { ServingError } from "../../proto/errors.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import { createEngine } from "../engine/registry.ts";
import { createScheduler } from "../scheduler/scheduler.ts";
import type { Served } from "../service/served.ts";
import { assertDescribed, definitionFrom } from "./definition.ts";
import type { LocatedManifest } from "./manifest.ts";

/** A service at work: what the loader's catalog lists, and its end. */
export interface ServingService extends Served {
  /** Resolves when the engine is ready for the first time; rejects with a ServingError when it cannot start. */
  readonly started: Promise<void>;
  /** Takes no new call, waits for those that run or wait, at most this long, and stops the engine. Never rejects. */
  retire(drainTimeoutMs: number): Promise<void>;
}

/** What every service of a loader shares. */
export interface ServingEnvironment {
  readonly logger: Logger;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  readonly onWait: (service: string, waitMs: number) => void;
}

/**
 * Puts a service to work: its engine starts to load now, and the service is ready when that is done. Never throws: a
 * service whose engine fails says so in its state.
 */
export function serve({ manifest, folder }: LocatedManifest, environment: ServingEnvironment): ServingService {
  const { now, onWait } = environment;
  const logger = environment.logger.child({ service: manifest.id });
  let current = { state: ServiceState.LOADING, reason: "loading" };
  let definition = definitionFrom(manifest);
  const become = (state: ServiceState, reason: string): void => {
    if (current.state === ServiceState.STOPPING || (current.state === state && current.reason === reason)) return;
    current = { state, reason };
    if (state === ServiceState.READY) logger.info("ready");
    else logger.warn({ reason }, "not ready");
  };
  const { engine, slots } = createEngine(manifest.engine, {
    service: manifest.id,
    folder,
    startTimeoutMs: manifest.startTimeoutMs,
    logger,
    onProgress: (progress) => logger.info({ progress }, "progress"),
    onHealth(health) {
      if (current.state === ServiceState.LOADING) return;
      if (health.ready) become(ServiceState.READY, "");
      else become(ServiceState.FAILED, health.reason);
    },
  });
  const total = manifest.slots.total || slots;
  const scheduler = createScheduler({
    service: manifest.id,
    total,
    best: Math.min(total, manifest.slots.best || total),
    maxQueueLength: manifest.queue.maxLength,
    now,
    onWait: (waitMs) => onWait(manifest.id, waitMs),
  });
  const start = async (): Promise<void> => {
    try {
      const told = await engine.start(AbortSignal.timeout(manifest.startTimeoutMs));
      assertDescribed(manifest, told);
      definition = definitionFrom(manifest, told);
      become(ServiceState.READY, "");
    } catch (thrown) {
      const error = ServingError.from(thrown);
      logger.error({ err: error }, "the engine cannot start");
      become(ServiceState.FAILED, error.message);
      // Nothing calls it any more: it must not hold a model or a process.
      await engine.stop();
      throw error;
    }
  };
  const started = start();
  // Whoever does not wait for it reads the state.
  started.catch(() => {});
  return {
    get definition() {
      return definition;
    },
    engine,
    scheduler,
    session: manifest.session,
    started,
    state: () => current,
    async retire(drainTimeoutMs) {
      become(ServiceState.STOPPING, "stopping");
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, drainTimeoutMs);
      await Promise.race([scheduler.untilIdle(), late.promise]);
      clearTimeout(timer);
      await engine.stop();
    },
  };
}
