import { dirname } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import type { Engine } from "../engine.ts";
import { createSupervisedEngine, maxFrameBytes, type SupervisedEngineOptions } from "../host/supervised-engine.ts";
import { buildNativeHost } from "./build.ts";

/** What a native engine is created from. */
export interface NativeEngineOptions extends SupervisedEngineOptions {
  /** The wrapper's library, absolute. */
  readonly library: string;
  /** Whether once-calls go through wrapperExecAsync and sessions get a callback. */
  readonly async: boolean;
  readonly workers: number;
  /** Calls that one worker runs at once, each in a thread. */
  readonly threads: number;
  /** Handed to wrapperInit as texts. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Gives the path of the host program. */
  readonly buildHost?: () => Promise<string>;
}

/** How many calls the engine computes at once. */
export function nativeSlots({ workers, threads }: Pick<NativeEngineOptions, "workers" | "threads">): number {
  return workers * threads;
}

/** Builds an engine that runs a C or C++ wrapper library in processes of its own, one loaded model for many threads. */
export function createNativeEngine(options: NativeEngineOptions): Engine {
  const config: Record<string, string> = {
    library: options.library,
    async: String(options.async),
    threads: String(options.threads),
    maxFrameBytes: String(maxFrameBytes),
  };
  for (const [key, value] of Object.entries(options.config)) {
    config[`config.${key}`] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return createSupervisedEngine(options, async () => ({
    command: [await (options.buildHost ?? buildNativeHost)()],
    // Where the predecessor's wrappers look for their models and settings.
    cwd: dirname(options.library),
    env: childEnvironment(),
    config,
    workers: options.workers,
    callsPerWorker: options.threads,
  }));
}
