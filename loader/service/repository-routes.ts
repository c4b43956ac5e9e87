import type { ConnectRouter } from "@connectrpc/connect";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";
import { RepositoryService } from "../../proto/gen/athena/v1/repository_pb.ts";

/** Loads and unloads services by their ids. Both throw ServingError. */
export interface Repository {
  load(id: string): Promise<void>;
  unload(id: string): Promise<void>;
}

/** Adds the service through which gateways load and unload this loader's services. */
export function addRepository(
  router: ConnectRouter,
  { repository, isDraining }: { readonly repository: Repository | undefined; readonly isDraining: () => boolean },
): void {
  const act = async (run: (allowed: Repository) => Promise<void>): Promise<Record<string, never>> => {
    try {
      if (repository === undefined) {
        const where = "at its loader's admin address alone, unless the loader's modelControl is explicit";
        throw new ServingError("UNSUPPORTED_OPERATION", `the service is loaded and unloaded ${where}`);
      }
      if (isDraining()) throw new ServingError("DRAINING", "the loader is shutting down");
      await run(repository);
      return {};
    } catch (thrown) {
      throw connectErrorFrom(thrown);
    }
  };
  router.service(RepositoryService, {
    loadService: ({ service }) => act((allowed) => allowed.load(service)),
    unloadService: ({ service }) => act((allowed) => allowed.unload(service)),
  });
}
