import { resolve } from "node:path";
import * as ort from "onnxruntime-node";
import { ServingError } from "../../../proto/errors.ts";
import { partTypes } from "../../../proto/part-type.ts";
import { sessionOptionsFrom } from "./execution-provider.ts";
import type { ProcessorContext } from "./processor.ts";
import type { OnnxWorkerConfig } from "./worker-config.ts";

/** What the processor of a worker with this configuration is given. Throws as {@link sessionOptionsFrom}. */
export function createProcessorContext({ folder, model, ...config }: OnnxWorkerConfig): ProcessorContext {
  const sessionOptions = sessionOptionsFrom({ name: config.provider, deviceId: config.deviceId }, config.threads);
  return {
    options: config.options,
    sessionOptions,
    folder,
    model,
    maxBatchRows: config.maxBatchRows,
    async createSession(file = model) {
      if (file === undefined) throw new ServingError("SERVICE_NOT_READY", "engine.model is missing");
      return ort.InferenceSession.create(resolve(folder, file), { logSeverityLevel: 4, ...sessionOptions });
    },
    ort,
    part(name, type, data, attributes = {}) {
      const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
      return { $typeName: "athena.v1.Part", name, type: partTypes[type], attributes: { ...attributes }, data: bytes };
    },
    refusal: (message) => new ServingError("INVALID_INPUT", message),
  };
}
