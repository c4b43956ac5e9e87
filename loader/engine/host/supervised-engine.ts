import type { Logger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { Engine, EngineHealth, EngineResources, ResourceLimits } from "../engine.ts";
import { createSupervisor, type Supervisor, type SupervisorOptions } from "./supervisor.ts";

/** What every engine whose workers are processes is created from. */
export interface SupervisedEngineOptions {
  /** The service's id, for messages. */
  readonly service: string;
  readonly startTimeoutMs: number;
  readonly logger: Logger;
  /** What personal resources are bounded by; none are taken unless told. */
  readonly resources?: ResourceLimits | undefined;
  readonly onHealth: (health: EngineHealth) => void;
  readonly onProgress: (progress: string) => void;
  /** Told what the user's code counts. */
  readonly onMeter?: ((key: string, count: number) => void) | undefined;
}

/** How an engine's workers are started. */
export type WorkerCommand = Pick<
  SupervisorOptions,
  "command" | "cwd" | "env" | "config" | "workers" | "callsPerWorker"
> & {
  /** How long a call that nobody waits for may go on; a second unless told. */
  readonly cancelGraceMs?: number;
};

/** The largest frame between loader and worker: a large input, or a long answer. */
export const maxFrameBytes = 268_435_456;

/** User code cannot be stopped from outside but with its process. */
const defaultCancelGraceMs = 1000;

/** Builds the engine whose calls and sessions a supervisor's workers run. `prepare` is called once, by start. */
export function createSupervisedEngine(
  options: SupervisedEngineOptions,
  prepare: () => WorkerCommand | Promise<WorkerCommand>,
): Engine {
  let supervisor: Supervisor | undefined;
  let isStopped = false;
  const running = (): Supervisor => {
    if (supervisor !== undefined && !isStopped) return supervisor;
    throw new ServingError("SERVICE_NOT_READY", `the engine of service '${options.service}' does not run`);
  };
  return {
    async start(signal) {
      const worker = await prepare();
      supervisor = createSupervisor({
        service: options.service,
        startTimeoutMs: options.startTimeoutMs,
        logger: options.logger,
        resources: options.resources,
        onHealth: options.onHealth,
        onProgress: options.onProgress,
        onMeter: options.onMeter,
        cancelGraceMs: defaultCancelGraceMs,
        ...worker,
        stopGraceMs: 5000,
        maxFrameBytes,
        now: () => performance.now(),
        random: Math.random,
      });
      return running().start(signal);
    },
    infer: async (request, signal) => running().infer(request, signal),
    inferBatch: async (batch) => running().inferBatch(batch),
    stream: (request, inputs, signal) => running().stream(request, inputs, signal),
    resources: options.resources === undefined ? undefined : resourcesOf(running, () => supervisor),
    async stop() {
      isStopped = true;
      await supervisor?.stop();
    },
  };
}

/** The resources of a supervisor that comes later. */
function resourcesOf(running: () => Supervisor, supervisor: () => Supervisor | undefined): EngineResources {
  return {
    load: async (id, parts, signal) => running().resources.load(id, parts, signal),
    unload: async (id, signal) => running().resources.unload(id, signal),
    find: (id) => supervisor()?.resources.find(id),
    list: () => supervisor()?.resources.list() ?? [],
  };
}
