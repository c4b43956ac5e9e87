/** The process in which an ONNX service computes: started by engine.ts, and never imported. */
import { serveWorker } from "../host/worker-client.ts";
import { errorFromSessionFailure, sessionOptionsFrom } from "./execution-provider.ts";
import { loadProcessor } from "./processors/registry.ts";
import { maxFrameBytes, readWorkerConfig } from "./worker-config.ts";

const [socketPath = "", token = ""] = [Bun.env.ATHENA_ENGINE_SOCKET, Bun.env.ATHENA_ENGINE_TOKEN];

await serveWorker({
  socketPath,
  token,
  maxFrameBytes,
  async init(texts, report) {
    const config = readWorkerConfig(texts);
    const provider = { name: config.provider, deviceId: config.deviceId };
    const sessionOptions = sessionOptionsFrom(provider, config.threads);
    try {
      const createProcessor = await loadProcessor(config.processor);
      const processor = await createProcessor({ options: config.options, sessionOptions }, report);
      return { handle: (request) => processor.infer(request) };
    } catch (thrown) {
      throw errorFromSessionFailure(thrown, provider);
    }
  },
});
