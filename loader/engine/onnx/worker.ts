/** The process in which an ONNX service computes: started by engine.ts, and never imported. */
import { maxFrameBytes } from "../host/supervised-engine.ts";
import { serveWorker } from "../host/worker-client.ts";
import { errorFromSessionFailure } from "./execution-provider.ts";
import { createProcessorContext } from "./processor-context.ts";
import { loadProcessor } from "./processors/registry.ts";
import { readWorkerConfig } from "./worker-config.ts";

const [socketPath = "", token = ""] = [Bun.env.ATHENA_ENGINE_SOCKET, Bun.env.ATHENA_ENGINE_TOKEN];

await serveWorker({
  socketPath,
  token,
  maxFrameBytes,
  async init(texts, report) {
    const config = readWorkerConfig(texts);
    try {
      const createProcessor = await loadProcessor(config.processor, config.folder);
      const processor = await createProcessor(createProcessorContext(config), report);
      return {
        handle: (request) => processor.infer(request),
        handleGroup: processor.inferBatch?.bind(processor),
        description: processor.description,
      };
    } catch (thrown) {
      throw errorFromSessionFailure(thrown, { name: config.provider, deviceId: config.deviceId });
    }
  },
});
