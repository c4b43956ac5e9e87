import type { Logger } from "../../config/logger.ts";
import { ServingError } from "../../proto/errors.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { Engine, EngineResources } from "../engine/engine.ts";
import { type CreatedEngine, createEngine } from "../engine/registry.ts";
import { createBatchedEngine } from "../scheduler/batched-engine.ts";
import { createScheduler, type Scheduler } from "../scheduler/scheduler.ts";
import type { Served } from "../service/served.ts";
import { carryResources } from "./carry-resources.ts";
import { assertDescribed, definitionFrom } from "./definition.ts";
import type { LocatedManifest } from "./manifest.ts";
import { passHeaders } from "./pass-headers.ts";
import { createStateHolder, type StateHolder } from "./service-state.ts";
import { slotsOf } from "./slots.ts";

/** A service at work: what the loader's catalog lists, and its end. */
export interface ServingService extends Served {
  /** Resolves when the engine is ready for the first time; rejects with a ServingError when it cannot start. */
  readonly started: Promise<void>;
  /** Takes over what the one in whose place it comes has got or lost since. Throws ServingError. */
  inherit(): Promise<void>;
  /** Takes no new call, waits for those that run or wait, at most this long, and stops the engine. Never rejects. */
  retire(drainTimeoutMs: number): Promise<void>;
}

/** What every service of a loader shares. */
export interface ServingEnvironment {
  readonly logger: Logger;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  readonly onWait: (service: string, waitMs: number) => void;
  /** Told of each group of calls that was computed together. */
  readonly onBatch: (service: string, rows: number) => void;
  /** Told what a service's own code counts. */
  readonly onMeter: (service: string, key: string, count: number) => void;
}

/**
 * Puts a service to work: its engine starts to load now, and the service is ready when that is done and it has the personal
 * resources of the one in whose place it comes. Never throws: a service whose engine fails says so in its state.
 */
export function serve(
  located: LocatedManifest,
  environment: ServingEnvironment,
  inherited?: EngineResources,
): ServingService {
  const { manifest } = located;
  const { now, onWait } = environment;
  const logger = environment.logger.child({ service: manifest.id });
  const state = createStateHolder(logger);
  let definition = definitionFrom(located);
  const { created, engine } = createServiceEngine(located, environment, logger, state);
  const scheduler = createScheduler({
    service: manifest.id,
    ...slotsOf(manifest, created),
    maxQueueLength: manifest.queue.maxLength,
    now,
    onWait: (waitMs) => onWait(manifest.id, waitMs),
  });
  const inherit = (): Promise<void> =>
    carryResources(inherited, engine.resources, { service: manifest.id, timeoutMs: manifest.startTimeoutMs, now });
  const start = async (): Promise<void> => {
    try {
      const told = await engine.start(AbortSignal.timeout(manifest.startTimeoutMs));
      assertDescribed(manifest, told, engine);
      await inherit();
      definition = definitionFrom(located, told);
      const { total, best } = slotsOf(manifest, created, told);
      scheduler.resize(total, best);
      state.become(ServiceState.READY, "");
    } catch (thrown) {
      const error = ServingError.from(thrown);
      logger.error({ err: error }, "the engine cannot start");
      state.become(ServiceState.FAILED, error.message);
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
    inherit,
    state: () => state.current,
    async retire(drainTimeoutMs) {
      state.become(ServiceState.STOPPING, "stopping");
      await untilIdle(scheduler, drainTimeoutMs);
      await engine.stop();
    },
  };
}

/** The service's engine, as it was created and with what the loader adds to it: headers that pass, batching. */
function createServiceEngine(
  { manifest, folder }: LocatedManifest,
  environment: ServingEnvironment,
  logger: Logger,
  state: StateHolder,
): { readonly created: CreatedEngine; readonly engine: Engine } {
  const created = createEngine(manifest.engine, {
    service: manifest.id,
    folder,
    declared: manifest,
    startTimeoutMs: manifest.startTimeoutMs,
    maxBatchRows: manifest.batching.maxRows,
    resources: manifest.resources,
    logger,
    onProgress: (progress) => logger.info({ progress }, "progress"),
    onHealth: state.onHealth,
    onMeter: (key, count) => environment.onMeter(manifest.id, key, count),
  });
  const engine = createBatchedEngine(passHeaders(created.engine, manifest.passHeaders), {
    lanes: created.lanes,
    batchUnit: created.batchUnit,
    maxDelayMs: manifest.batching.maxDelayMs,
    now: environment.now,
    setTimer,
    onGroup: (rows) => environment.onBatch(manifest.id, rows),
  });
  return { created, engine };
}

/** Waits until no call runs or waits, at most this long. */
async function untilIdle(scheduler: Pick<Scheduler, "untilIdle">, timeoutMs: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, timeoutMs);
  await Promise.race([scheduler.untilIdle(), late.promise]);
  clearTimeout(timer);
}

function setTimer(callback: () => void, delayMs: number): () => void {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
}
