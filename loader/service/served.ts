import { ServingError } from "../../proto/errors.ts";
import type { ServiceDefinition, ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { Engine } from "../engine/engine.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";

/** Whether a service can be called, and if not, why. */
export interface ServedState {
  readonly state: ServiceState;
  /** For a person; empty when there is nothing to say. */
  readonly reason: string;
}

/** One service of a loader, at work. */
export interface Served {
  readonly definition: ServiceDefinition;
  readonly engine: Engine;
  readonly scheduler: Scheduler;
  state(): ServedState;
}

/** The services of a loader. */
export interface Catalog {
  list(): readonly Served[];
  /** The service of an id; an empty version means whichever is served. Throws SERVICE_NOT_FOUND, which names both. */
  find(id: string, version: string): Served;
}

/** Builds the catalog of these services. */
export function createCatalog(services: readonly Served[]): Catalog {
  const byId = new Map(services.map((service) => [service.definition.id, service]));
  return {
    list: () => services,
    find(id, version) {
      const served = byId.get(id);
      if (served === undefined) throw new ServingError("SERVICE_NOT_FOUND", `service '${id.slice(0, 64)}' not found`);
      if (version !== "" && version !== served.definition.version) {
        throw new ServingError("SERVICE_NOT_FOUND", `service '${id}' has no version '${version.slice(0, 64)}'`);
      }
      return served;
    },
  };
}
