import { resolve } from "node:path";
import type { Logger } from "../../config/logger.ts";
import type { EngineManifest, ServiceManifest } from "../manifest/manifest.ts";
import { createEchoEngine } from "./echo/engine.ts";
import type { Engine, EngineHealth, ResourceLimits } from "./engine.ts";
import { createNativeEngine, nativeSlots } from "./native/engine.ts";
import { createOnnxEngine, onnxWorkers } from "./onnx/engine.ts";
import { createPythonEngine, pythonSlots } from "./python/engine.ts";
import { createRemoteEngine, remoteSlots } from "./remote/engine.ts";

/** What every engine is created with. */
export interface EngineContext {
  /** The service's id, for messages and log lines. */
  readonly service: string;
  /** The service's folder, absolute: where relative paths of its definition begin. */
  readonly folder: string;
  /** What service.yaml says about the service's parts and parameters. */
  readonly declared: Pick<ServiceManifest, "inputs" | "outputs" | "parameters">;
  readonly startTimeoutMs: number;
  /** The most rows that are computed together; 0: none; undefined: as the engine thinks best. */
  readonly maxBatchRows: number | undefined;
  /** What personal resources are bounded by; undefined: none are taken. */
  readonly resources: ResourceLimits | undefined;
  readonly logger: Logger;
  /** Told when the engine can, or cannot, take calls. */
  readonly onHealth: (health: EngineHealth) => void;
  /** Told in a few words how far loading is. */
  readonly onProgress: (progress: string) => void;
  /** Told what the user's code counts. */
  readonly onMeter: (key: string, count: number) => void;
}

/** An engine, and how much it computes at once. */
export interface CreatedEngine {
  readonly engine: Engine;
  /** Its workers, each of which computes one batch at once, where it batches. */
  readonly lanes: number;
  /** Calls that it computes at once where it does not batch. */
  readonly slots: number;
  /** What `maxBatchRows` counts: rows of tensors, which are joined, or whole requests; rows unless told. */
  readonly batchUnit?: "rows" | "requests";
}

/** Calls that the echo engine takes at once when its service does not say. */
const echoSlots = 256;

/** Creates the engine that a service definition asks for: one line for each kind. */
export function createEngine(manifest: EngineManifest, context: EngineContext): CreatedEngine {
  switch (manifest.kind) {
    case "echo":
      return { engine: createEchoEngine(), lanes: 1, slots: echoSlots };
    case "onnx": {
      const workers = onnxWorkers(manifest);
      return { engine: createOnnxEngine({ ...manifest, ...context }), lanes: workers, slots: workers };
    }
    case "native": {
      const library = resolve(context.folder, manifest.library);
      const engine = createNativeEngine({ ...manifest, ...context, library });
      return { engine, lanes: manifest.workers, slots: nativeSlots(manifest) };
    }
    case "python": {
      // A bare command is looked up on the path, anything with a slash in the service's folder.
      const python = manifest.python.includes("/") ? resolve(context.folder, manifest.python) : manifest.python;
      const wrapper = resolve(context.folder, manifest.wrapper);
      const engine = createPythonEngine({ ...manifest, ...context, python, wrapper });
      return { engine, lanes: manifest.workers, slots: pythonSlots(manifest), batchUnit: "requests" };
    }
    case "remote":
      return { engine: createRemoteEngine({ ...manifest, ...context }), lanes: 1, slots: remoteSlots(manifest) };
  }
}
