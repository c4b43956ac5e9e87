import { ServingError } from "../../proto/errors.ts";
import type { Part } from "../../proto/gen/athena/v1/part_pb.ts";
import type { LoadResourceRequest, UnloadResourceRequest } from "../../proto/gen/athena/v1/resource_pb.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { EngineResources, LoadedResource } from "../engine/engine.ts";
import { createCallSignal } from "./call-signal.ts";
import type { Catalog, Served } from "./served.ts";

/** What resources work with. */
export interface ResourcesOptions {
  readonly catalog: Catalog;
  readonly isDraining: () => boolean;
  /** Any of the ids that a resource may have. */
  readonly newId: () => number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

/** What bounds one operation. */
export interface ResourceBounds {
  /** Aborts when the caller hangs up. */
  readonly signal: AbortSignal;
  /** How long the caller waits; undefined: as long as the service allows. */
  readonly timeoutMs: number | undefined;
}

/** The personal resources of the loader's services. Every method throws ServingError. */
export interface Resources {
  /** Gives the resource's id: the one that was asked for, or a new one. */
  load(request: LoadResourceRequest, bounds: ResourceBounds): Promise<number>;
  unload(request: UnloadResourceRequest, bounds: ResourceBounds): Promise<void>;
  list(service: string): readonly LoadedResource[];
}

/** Whatever bounds a resource beside its data, so that what is kept of it has a bound. */
const maxParts = 64;
const maxDescriptionLength = 65_536;
const longestTimeoutMs = 2 ** 31 - 1;

/** Joins catalog and engines. */
export function createResources({ catalog, isDraining, newId, now }: ResourcesOptions): Resources {
  const find = (service: string): { readonly served: Served; readonly resources: EngineResources } => {
    const served = catalog.find(service, "");
    const { resources } = served.engine;
    if (resources === undefined) {
      throw new ServingError("UNSUPPORTED_OPERATION", `service '${service}' takes no personal resources`);
    }
    return { served, resources };
  };
  const findReady = (service: string) => {
    const found = find(service);
    if (isDraining()) throw new ServingError("DRAINING", `service '${service}' is shutting down here`);
    if (found.served.state().state === ServiceState.READY) return found;
    throw new ServingError("SERVICE_NOT_READY", `service '${service}' is not ready`);
  };

  /** Runs the work on the service, and on the one that has come in its place meanwhile. */
  const run = async (
    service: string,
    bounds: ResourceBounds,
    work: (resources: EngineResources, signal: AbortSignal, isRepeated: boolean) => Promise<void>,
  ): Promise<void> => {
    using call = createCallSignal(bounds.signal, bounds.timeoutMs ?? longestTimeoutMs, service, now);
    for (let isRepeated = false; ; isRepeated = true) {
      const { served, resources } = findReady(service);
      const [outcome] = await Promise.allSettled([work(resources, call.signal, isRepeated)]);
      if (!call.signal.aborted && catalog.list().every((other) => other !== served)) continue;
      if (outcome.status === "rejected") throw outcome.reason;
      return;
    }
  };

  return {
    async load({ service, resourceId, parts }, bounds) {
      assertParts(parts);
      const { resources } = findReady(service);
      let id = resourceId;
      while (id === 0 || (resourceId === 0 && resources.find(id) !== undefined)) id = newId();
      // Copies: the request's buffer also holds what is not kept.
      const kept = parts.map(({ name, type, attributes, data }): Part => {
        return { $typeName: "athena.v1.Part", name, type, attributes, data: data.slice() };
      });
      await run(service, bounds, (current, signal) => current.load(id, kept, signal));
      return id;
    },
    unload: ({ service, resourceId }, bounds) =>
      run(service, bounds, async (resources, signal, isRepeated) => {
        // It may have been gone from the old one before the new one was given what that had.
        if (!isRepeated || resources.find(resourceId) !== undefined) await resources.unload(resourceId, signal);
      }),
    list: (service) => find(service).resources.list(),
  };
}

function assertParts(parts: readonly Part[]): void {
  if (parts.length === 0) throw new ServingError("SCHEMA_VIOLATION", "parts: at least one is required");
  if (parts.length > maxParts) {
    throw new ServingError("SCHEMA_VIOLATION", `parts: must be at most ${maxParts}, got ${parts.length}`);
  }
  let length = 0;
  for (const { name, attributes } of parts) {
    length += name.length;
    for (const [key, value] of Object.entries(attributes)) length += key.length + value.length;
  }
  if (length <= maxDescriptionLength) return;
  const message = `parts: names and attributes are longer than ${maxDescriptionLength} characters`;
  throw new ServingError("PAYLOAD_TOO_LARGE", message);
}
