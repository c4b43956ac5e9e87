import { delimiter, join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import type { Engine } from "../engine.ts";
import { createSupervisedEngine, type SupervisedEngineOptions } from "../host/supervised-engine.ts";

/** What a Python engine is created from. */
export interface PythonEngineOptions extends SupervisedEngineOptions {
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
}

/** How many calls the engine computes at once. */
export function pythonSlots({ workers, threads }: Pick<PythonEngineOptions, "workers" | "threads">): number {
  return workers * threads;
}

const runtimeFolder = join(import.meta.dir, "runtime");

/** Builds an engine that runs a Python wrapper in processes of its own. */
export function createPythonEngine(options: PythonEngineOptions): Engine {
  const environment = childEnvironment();
  const pythonPath = [runtimeFolder, environment.PYTHONPATH].filter((path) => path !== undefined && path !== "");
  return createSupervisedEngine(options, () => ({
    command: [options.python, "-u", join(runtimeFolder, "athena_worker.py")],
    env: { ...environment, PYTHONPATH: pythonPath.join(delimiter) },
    config: {
      wrapper: options.wrapper,
      class: options.class,
      threads: String(options.threads),
      config: JSON.stringify(options.config),
    },
    workers: options.workers,
    callsPerWorker: options.threads,
  }));
}
