import type { Logger } from "../../config/logger.ts";
import { ServingError } from "../../proto/errors.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { EngineResources } from "../engine/engine.ts";
import { type Catalog, createCatalog } from "../service/served.ts";
import { haveSameResources } from "./carry-resources.ts";
import type { LocatedManifest } from "./manifest.ts";
import type { ServingService } from "./serve.ts";

/** The services of a loader, which come and go while others serve. */
export interface ServiceSet {
  readonly catalog: Catalog;
  /**
   * Loads a service, or loads it anew: its folder is read again, the new one loads and warms up beside the old, which
   * serves until then, takes the calls, and the old one finishes its own and stops. Resolves when the new one serves.
   *
   * Throws ServingError SERVICE_NOT_FOUND for an id that no folder has, SERVICE_BUSY while it is being loaded already, and
   * why it cannot be loaded; the old one then goes on as if nothing had happened.
   */
  load(id: string): Promise<void>;
  /** Takes a service out: calls in flight finish first. Throws ServingError SERVICE_NOT_FOUND, or SERVICE_BUSY as load. */
  unload(id: string): Promise<void>;
  /** Ids of services that could be loaded but are not. */
  unloaded(): readonly string[];
  /** Stops every engine. Never rejects. */
  stop(): Promise<void>;
}

/** What {@link createServiceSet} works with. */
export interface ServiceSetOptions {
  /** Reads a service's folder by its id; undefined when there is none. Throws ConfigError for one that cannot be used. */
  readonly read: (id: string) => LocatedManifest | undefined;
  /** Ids that can be read. */
  readonly known: () => readonly string[];
  /** The service has the personal resources of the one in whose place it comes before it is ready. */
  readonly serve: (manifest: LocatedManifest, inherited?: EngineResources) => ServingService;
  /** How long calls in flight may take when their service is replaced or taken out. */
  readonly drainTimeoutMs: number;
  readonly logger: Logger;
}

/** Puts services to work, and keeps the set of them. */
export function createServiceSet(first: readonly LocatedManifest[], options: ServiceSetOptions): ServiceSet {
  const { read, serve, drainTimeoutMs, logger } = options;
  const services = new Map(first.map((located) => [located.manifest.id, serve(located)]));
  const loading = new Map<string, ServingService>();
  const retiring = new Set<Promise<void>>();
  const retire = (service: ServingService): Promise<void> => {
    const retired = service.retire(drainTimeoutMs).finally(() => retiring.delete(retired));
    retiring.add(retired);
    return retired;
  };

  return {
    catalog: createCatalog(services),
    async load(id) {
      if (loading.has(id)) throw new ServingError("SERVICE_BUSY", `service '${id}' is being loaded already`);
      const located = readFolder(read, id);
      const old = services.get(id);
      const inherited = old?.engine.resources;
      const next = serve(located, inherited);
      loading.set(id, next);
      // One that does not serve has nothing to lose: the new one's progress is what an operator wants to see.
      if (old?.state().state !== ServiceState.READY) services.set(id, next);
      try {
        await next.started;
        // Those that came while it was made ready.
        while (!haveSameResources(inherited, next.engine.resources)) await next.inherit();
        services.set(id, next);
        logger.info({ service: id, version: next.definition.version }, old === undefined ? "loaded" : "reloaded");
      } finally {
        loading.delete(id);
        if (services.get(id) !== next) void retire(next);
        else if (old !== undefined) void retire(old);
      }
    },
    async unload(id) {
      if (loading.has(id)) throw new ServingError("SERVICE_BUSY", `service '${id}' is being loaded`);
      const service = services.get(id);
      if (service === undefined) throw new ServingError("SERVICE_NOT_FOUND", `service '${shown(id)}' is not loaded`);
      services.delete(id);
      await retire(service);
      logger.info({ service: id }, "unloaded");
    },
    unloaded: () => options.known().filter((id) => !services.has(id)),
    async stop() {
      const all = new Set([...services.values(), ...loading.values()]);
      await Promise.all([...[...all].map((service) => service.engine.stop()), ...retiring]);
    },
  };
}

function readFolder(read: ServiceSetOptions["read"], id: string): LocatedManifest {
  const located = read(id);
  if (located === undefined) throw new ServingError("SERVICE_NOT_FOUND", `service '${shown(id)}' not found`);
  if (located.manifest.id === id) return located;
  throw new ServingError("SERVICE_NOT_FOUND", `the folder of service '${id}' now defines '${located.manifest.id}'`);
}

function shown(id: string): string {
  return id.slice(0, 64);
}
