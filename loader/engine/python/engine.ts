import { delimiter, join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import type { Logger } from "../../../config/logger.ts";
import type { Engine, EngineHealth } from "../engine.ts";
import { createSupervisor } from "../host/supervisor.ts";

/** What a Python engine is created from. */
export interface PythonEngineOptions {
  /** The service's id, for messages. */
  readonly service: string;
  /** The file with the wrapper's class, absolute. */
  readonly wrapper: string;
  readonly class: string;
  /** The interpreter: a command on the path, or the `bin/python` of a virtual environment. */
  readonly python: string;
  readonly workers: number;
  /** Calls that one worker runs at once, each in a thread. */
  readonly threads: number;
  /** Handed to wrapperInit. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly startTimeoutMs: number;
  readonly logger: Logger;
  readonly onHealth: (health: EngineHealth) => void;
  readonly onProgress: (progress: string) => void;
}

/** How many calls the engine computes at once. */
export function pythonSlots({ workers, threads }: Pick<PythonEngineOptions, "workers" | "threads">): number {
  return workers * threads;
}

/** The largest frame between loader and worker. */
const maxFrameBytes = 268_435_456;

/** How long a call that nobody waits for any more may go on: Python code cannot be stopped from outside but with its process. */
const cancelGraceMs = 1000;

const runtimeFolder = join(import.meta.dir, "runtime");

/** Builds an engine that runs a Python wrapper in processes of its own. */
export function createPythonEngine(options: PythonEngineOptions): Engine {
  const environment = childEnvironment();
  const pythonPath = [runtimeFolder, environment.PYTHONPATH].filter((path) => path !== undefined && path !== "");
  const supervisor = createSupervisor({
    service: options.service,
    command: [options.python, "-u", join(runtimeFolder, "athena_worker.py")],
    env: { ...environment, PYTHONPATH: pythonPath.join(delimiter) },
    config: {
      wrapper: options.wrapper,
      class: options.class,
      threads: String(options.threads),
      config: JSON.stringify(options.config),
    },
    workers: options.workers,
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
    start: (signal) => supervisor.start(signal),
    infer: (request, signal) => supervisor.infer(request, signal),
    stream: (request, inputs, signal) => supervisor.stream(request, inputs, signal),
    stop: () => supervisor.stop(),
  };
}
