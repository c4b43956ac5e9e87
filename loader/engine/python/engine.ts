import { delimiter, join } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import type { Engine } from "../engine.ts";
import { createSupervisedEngine, maxFrameBytes, type SupervisedEngineOptions } from "../host/supervised-engine.ts";

/** What a Python engine is created from. */
export interface PythonEngineOptions extends SupervisedEngineOptions {
  /** The file with the user's code, absolute. */
  readonly wrapper: string;
  /** Which class or function of it serves; without it what is decorated as a service, or else the class `Wrapper`. */
  readonly class?: string | undefined;
  /** The interpreter: a command on the path, or the `bin/python` of a virtual environment. */
  readonly python: string;
  readonly workers: number;
  /** Calls that one worker runs at once, each in a thread. */
  readonly threads: number;
  /** The most requests that are computed together, if less than what the code says; 0: none. */
  readonly maxBatchRows?: number | undefined;
  /** Handed to the user's code when it loads. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** How many calls the engine computes at once. */
export function pythonSlots({ workers, threads }: Pick<PythonEngineOptions, "workers" | "threads">): number {
  return workers * threads;
}

/** How long a call that nobody waits for may go on; after half of it the worker stops what Python code it can. */
const cancelGraceMs = 1000;

const runtimeFolder = join(import.meta.dir, "runtime");

/** Builds an engine that runs Python code in processes of its own. */
export function createPythonEngine(options: PythonEngineOptions): Engine {
  const environment = childEnvironment();
  const pythonPath = [runtimeFolder, environment.PYTHONPATH].filter((path) => path !== undefined && path !== "");
  const engine = createSupervisedEngine(options, () => ({
    command: [options.python, "-u", join(runtimeFolder, "athena_worker.py")],
    env: { ...environment, PYTHONPATH: pythonPath.join(delimiter) },
    config: {
      wrapper: options.wrapper,
      class: options.class ?? "",
      threads: String(options.threads),
      maxFrameBytes: String(maxFrameBytes),
      cancelGraceMs: String(cancelGraceMs),
      config: JSON.stringify(options.config),
    },
    workers: options.workers,
    callsPerWorker: options.threads,
    cancelGraceMs,
  }));
  return {
    ...engine,
    async start(signal) {
      const told = await engine.start(signal);
      if (told === undefined || options.maxBatchRows === undefined) return told;
      return { ...told, maxBatchRows: Math.min(told.maxBatchRows, options.maxBatchRows) };
    },
  };
}
