import { configPathFromProcess } from "../config/arguments.ts";
import { gatewayConfigSchema } from "../config/gateway.ts";
import { ConfigError, loadConfig } from "../config/load.ts";
import { createLogger } from "../config/logger.ts";
import { startGateway } from "./app.ts";

const logger = createLogger("gateway");

try {
  const config = loadConfig(configPathFromProcess("ATHENA_GATEWAY_CONFIG", "config/gateway.yaml"), gatewayConfigSchema);
  const gateway = await startGateway(config, logger);
  let stopping = false;
  const stop = async (signal: string): Promise<void> => {
    // A second signal means that somebody does not want to wait.
    if (stopping) process.exit(1);
    stopping = true;
    logger.info({ signal }, "draining");
    const complete = await gateway.drain();
    logger.info({ complete }, "stopped");
    process.exit(complete ? 0 : 1);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
} catch (error) {
  if (error instanceof ConfigError) logger.fatal({ mistakes: error.mistakes }, error.message);
  else logger.fatal({ err: error }, "the gateway cannot start");
  process.exit(1);
}
