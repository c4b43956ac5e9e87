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

/** What bounds a session. */
export interface SessionLimits {
  /** How long neither side may say anything. */
  readonly idleTimeoutMs: number;
  readonly totalTimeoutMs: number;
  /** How long a missing chunk is waited for. */
  readonly holeTimeoutMs: number;
  readonly maxWaitingChunks: number;
}

/** One service of a loader, at work. */
export interface Served {
  /** Complete once the service is ready: its engine may tell a part of it. */
  readonly definition: ServiceDefinition;
  readonly engine: Engine;
  readonly scheduler: Scheduler;
  readonly session: SessionLimits;
  state(): ServedState;
}

/** The services of a loader. */
export interface Catalog {
  list(): readonly Served[];
  /** The service of an id; an empty version means whichever is served. Throws SERVICE_NOT_FOUND, which names both. */
  find(id: string, version: string): Served;
}

/** A catalog of the services that are in the map now, by id. */
export function createCatalog(services: ReadonlyMap<string, Served>): Catalog {
  return {
    list: () => [...services.values()],
    find(id, version) {
      const served = services.get(id);
      if (served === undefined) throw new ServingError("SERVICE_NOT_FOUND", `service '${id.slice(0, 64)}' not found`);
      if (version !== "" && version !== served.definition.version) {
        throw new ServingError("SERVICE_NOT_FOUND", `service '${id}' has no version '${version.slice(0, 64)}'`);
      }
      return served;
    },
  };
}
