import type { Logger } from "../../config/logger.ts";
import { ServingError } from "../../proto/errors.ts";
import { type ServiceDefinition, ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { Engine } from "../engine/engine.ts";
import { createEngine } from "../engine/registry.ts";
import { createScheduler, type Scheduler } from "../scheduler/scheduler.ts";
import { definitionFromManifest } from "./definition.ts";
import type { LocatedManifest } from "./manifest.ts";

/** A service at work: what the loader's catalog lists. */
export interface ServingService {
  readonly definition: ServiceDefinition;
  readonly engine: Engine;
  readonly scheduler: Scheduler;
  state(): { readonly state: ServiceState; readonly reason: string };
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
  const become = (state: ServiceState, reason: string): void => {
    if (current.state === state && current.reason === reason) return;
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
      if (health.ready) become(ServiceState.READY, "");
      else if (current.state !== ServiceState.LOADING) become(ServiceState.FAILED, health.reason);
    },
  });
  const total = manifest.slots.total || slots;
  const best = Math.min(total, manifest.slots.best || total);
  engine.start(AbortSignal.timeout(manifest.startTimeoutMs)).then(
    () => become(ServiceState.READY, ""),
    (thrown: unknown) => {
      const error = ServingError.from(thrown);
      logger.error({ err: error }, "the engine cannot start");
      become(ServiceState.FAILED, error.message);
    },
  );
  return {
    definition: definitionFromManifest(manifest),
    engine,
    scheduler: createScheduler({
      service: manifest.id,
      total,
      best,
      maxQueueLength: manifest.queue.maxLength,
      now,
      onWait: (waitMs) => onWait(manifest.id, waitMs),
    }),
    state: () => current,
  };
}
