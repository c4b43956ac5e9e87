import { dirname, resolve } from "node:path";
import { configPathFromProcess } from "../config/arguments.ts";
import { gatewayConfigSchema } from "../config/gateway.ts";
import { runUntilSignal } from "../config/lifecycle.ts";
import { loadConfig } from "../config/load.ts";
import { createLogger } from "../config/logger.ts";
import { startGateway } from "./app.ts";

const logger = createLogger("gateway");

await runUntilSignal(logger, () => {
  const path = configPathFromProcess("ATHENA_GATEWAY_CONFIG", "config/gateway.yaml");
  return startGateway(loadConfig(path, gatewayConfigSchema), dirname(resolve(path)), logger);
});
