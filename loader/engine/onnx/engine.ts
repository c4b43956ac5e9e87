import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { childEnvironment } from "../../../config/child-environment.ts";
import { ServingError } from "../../../proto/errors.ts";
import { assertDeclared, type DeclaredParts } from "../assert-declared.ts";
import type { Engine } from "../engine.ts";
import { createSupervisedEngine, type SupervisedEngineOptions } from "../host/supervised-engine.ts";
import { sessionOptionsFrom } from "./execution-provider.ts";
import { modelFileFromPath } from "./model-file.ts";
import { assertProcessor } from "./processors/registry.ts";
import { writeWorkerConfig } from "./worker-config.ts";

/** What an ONNX engine is created from. */
export interface OnnxEngineOptions extends SupervisedEngineOptions {
  /** The service's folder, absolute. */
  readonly folder: string;
  /** An ONNX file, or a folder that model-file.ts finds one in, relative to the service's folder. */
  readonly model?: string | undefined;
  /** What prepares input and reads output: a name of processors/registry.ts or the path of a module; the tensors as they are unless told. */
  readonly processor?: string | undefined;
  /** The most rows that are computed together; 0: none; undefined: as the processor thinks best. */
  readonly maxBatchRows?: number | undefined;
  /** Processes that compute; 0: one for each core, or one alone for a device. */
  readonly workers: number;
  /** Threads in each. */
  readonly threads: number;
  readonly provider: string;
  readonly deviceId?: number | undefined;
  /** What service.yaml says about the service's parts. */
  readonly declared?: DeclaredParts | undefined;
  /** Handed to the processor. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** How many processes compute. */
export function onnxWorkers({ workers, provider }: Pick<OnnxEngineOptions, "workers" | "provider">): number {
  if (workers > 0) return workers;
  // Every process loads the model anew, and a device has memory for few.
  return provider === "cpu" ? availableParallelism() : 1;
}

/**
 * How long a worker may finish a run that nobody waits for any more. A run cannot be stopped from inside, and most take
 * less than it takes to load the models again.
 */
const cancelGraceMs = 10_000;

/** Builds an engine whose models run in processes of their own (docs/decisions/0003-engines-in-child-processes.md). */
export function createOnnxEngine(options: OnnxEngineOptions): Engine {
  const { folder, model, processor = "tensor", maxBatchRows, threads, provider, deviceId = 0 } = options;
  const engine = createSupervisedEngine({ ...options, resources: undefined }, () => {
    // What is wrong in the definition is told before a process is started for it.
    assertProcessor(processor, folder);
    sessionOptionsFrom({ name: provider, deviceId }, threads);
    const file = model === undefined ? undefined : modelFileFromPath(resolve(folder, model)).path;
    const config = { processor, folder, threads, provider, deviceId, options: { ...options.options } };
    return {
      command: [process.execPath, join(import.meta.dir, "worker.ts")],
      env: childEnvironment(),
      config: writeWorkerConfig({ ...config, model: file, maxBatchRows }),
      workers: onnxWorkers(options),
      // A run takes its whole process: a second call would only wait in it, and end with it.
      callsPerWorker: 1,
      cancelGraceMs,
    };
  });
  return {
    ...engine,
    async start(signal) {
      const told = await engine.start(signal);
      // Otherwise the service would be ready, and refuse every call.
      if (told !== undefined) assertDeclared(options.service, options.declared ?? {}, told);
      return told;
    },
    stream() {
      throw new ServingError("UNSUPPORTED_OPERATION", `service '${options.service}' does not answer streams`);
    },
  };
}
