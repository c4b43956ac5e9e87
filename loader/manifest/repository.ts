import { ConfigError } from "../../config/load.ts";
import type { Logger } from "../../config/logger.ts";
import { ServingError } from "../../proto/errors.ts";
import type { Repository } from "../service/repository-routes.ts";
import type { ServiceSet } from "./service-set.ts";

/** A loader's services as gateways may load and unload them: what is wrong with a file is for the log, not for callers. */
export function createRepository(services: Pick<ServiceSet, "load" | "unload">, logger: Logger): Repository {
  const logged = async (service: string, run: () => Promise<void>): Promise<void> => {
    try {
      await run();
    } catch (thrown) {
      const error = thrown instanceof ConfigError ? brokenDefinition(service, thrown) : ServingError.from(thrown);
      logger.error({ service, err: error.cause ?? error }, "a gateway's request to load or unload failed");
      throw error;
    }
  };
  return {
    load: (id) => logged(id, () => services.load(id)),
    unload: (id) => logged(id, () => services.unload(id)),
  };
}

function brokenDefinition(service: string, cause: ConfigError): ServingError {
  const message = `service '${service}' cannot be loaded: its definition has mistakes, which are in the loader's log`;
  return new ServingError("SERVICE_NOT_READY", message, { cause });
}
