import { dirname, resolve } from "node:path";
import { configPathFromProcess } from "../config/arguments.ts";
import { runUntilSignal } from "../config/lifecycle.ts";
import { loadConfig } from "../config/load.ts";
import { loaderConfigSchema } from "../config/loader.ts";
import { createLogger } from "../config/logger.ts";
import { startLoader } from "./app.ts";

const logger = createLogger("loader");

await runUntilSignal(logger, () => {
  const path = configPathFromProcess("ATHENA_LOADER_CONFIG", "config/loader.yaml");
  return startLoader(loadConfig(path, loaderConfigSchema), dirname(resolve(path)), logger);
});
