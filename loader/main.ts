import { dirname, resolve } from "node:path";
import { configPathFromProcess } from "../config/arguments.ts";
import { ConfigError, loadConfig } from "../config/load.ts";
import { loaderConfigSchema } from "../config/loader.ts";
import { createLogger } from "../config/logger.ts";
import { startLoader } from "./app.ts";

const logger = createLogger("loader");

try {
  const path = configPathFromProcess("ATHENA_LOADER_CONFIG", "config/loader.yaml");
  const loader = startLoader(loadConfig(path, loaderConfigSchema), dirname(resolve(path)), logger);
  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    // A second signal means that somebody does not want to wait.
    if (stopping) process.exit(1);
    stopping = true;
    logger.info({ signal }, "draining");
    const complete = await loader.drain();
    logger.info({ complete }, "stopped");
    process.exit(complete ? 0 : 1);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
} catch (error) {
  if (error instanceof ConfigError) logger.fatal({ mistakes: error.mistakes }, error.message);
  else logger.fatal({ err: error }, "the loader cannot start");
  process.exit(1);
}
