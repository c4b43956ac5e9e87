import { availableParallelism } from "node:os";
import { join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import type { Logger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { Engine, EngineHealth } from "../engine.ts";
import { createSupervisor } from "../host/supervisor.ts";
import { sessionOptionsFrom } from "./execution-provider.ts";
import { assertProcessor } from "./processors/registry.ts";
import { maxFrameBytes, writeWorkerConfig } from "./worker-config.ts";

/** What an ONNX engine is created from. */
export interface OnnxEngineOptions {
  /** The service's id, for messages. */
  readonly service: string;
  /** The module that prepares input and reads output, by its name in processors/registry.ts. */
  readonly processor: string;
  /** Processes that compute; 0: one for each core. */
  readonly workers: number;
  /** Threads in each. */
  readonly threads: number;
  readonly provider: string;
  readonly deviceId?: number | undefined;
  /** Handed to the processor. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly startTimeoutMs: number;
  readonly logger: Logger;
  readonly onHealth: (health: EngineHealth) => void;
  readonly onProgress: (progress: string) => void;
}

/** How many calls the engine computes at once: one for each worker, since a run takes a whole process. */
export function onnxSlots({ workers }: Pick<OnnxEngineOptions, "workers">): number {
  return workers === 0 ? availableParallelism() : workers;
}

/**
 * How long a worker may finish a run that nobody waits for any more. A run cannot be stopped from inside, and most take
 * less than it takes to load the models again.
 */
const cancelGraceMs = 10_000;

/** Builds an engine whose models run in processes of their own (docs/decisions/0003-engines-in-child-processes.md). */
export function createOnnxEngine(options: OnnxEngineOptions): Engine {
  const { processor, threads, provider, deviceId = 0 } = options;
  const supervisor = createSupervisor({
    service: options.service,
    command: [process.execPath, join(import.meta.dir, "worker.ts")],
    env: childEnvironment(),
    config: writeWorkerConfig({ processor, threads, provider, deviceId, options: { ...options.options } }),
    workers: onnxSlots(options),
    // A run takes its whole process: a second call would only wait in it, and end with it.
    callsPerWorker: 1,
    startTimeoutMs: options.startTimeoutMs,
    stopGraceMs: 5000,
    cancelGraceMs,
    maxFrameBytes,
    logger: options.logger,
    onHealth: options.onHealth,
    onProgress: options.onProgress,
    now: () => performance.now(),
    random: Math.random,
  });
  return {
    async start(signal) {
      // What is wrong in the definition is told before a process is started for it.
      assertProcessor(processor);
      sessionOptionsFrom({ name: provider, deviceId }, threads);
      return supervisor.start(signal);
    },
    infer: (request, signal) => supervisor.infer(request, signal),
    stream() {
      throw new ServingError("UNSUPPORTED_OPERATION", `service '${options.service}' does not answer streams`);
    },
    stop: () => supervisor.stop(),
  };
}
