import { configPathFromProcess } from "../config/arguments.ts";
import { runUntilSignal } from "../config/lifecycle.ts";
import { createLogger } from "../config/logger.ts";
import { startGateway } from "./app.ts";

const logger = createLogger("gateway");

await runUntilSignal(logger, () =>
  startGateway(configPathFromProcess("ATHENA_GATEWAY_CONFIG", "config/gateway.yaml"), logger),
);
