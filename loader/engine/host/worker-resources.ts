import type { Logger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { EngineResources, LoadedResource, ResourceLimits } from "../engine.ts";
import { limitSignals } from "../limited-signal.ts";
import { createKeyedLock } from "./keyed-lock.ts";
import { createResourceHolders, type ResourceWorker } from "./resource-holders.ts";
import { createResourceRoom } from "./resource-room.ts";

/** The personal resources of workers that come and go, which all have the same. */
export interface WorkerResources extends EngineResources {
  /**
   * Takes in a worker that has just started, and loads into it what the others have. Resolves with whether it may get
   * calls; never rejects. A resource that it cannot load is taken out everywhere, and so is one that ended two workers.
   */
  join(worker: ResourceWorker): Promise<boolean>;
  leave(worker: ResourceWorker): void;
  /** Throws ServingError RESOURCE_NOT_FOUND for the first that is not loaded. */
  assertLoaded(ids: readonly number[]): void;
  /** A call of some worker is over. */
  onCallEnded(): void;
  /** Gives up what is under way. */
  stop(reason: ServingError): void;
}

/** What {@link createWorkerResources} is told. */
export interface WorkerResourcesOptions extends ResourceLimits {
  /** The service's id, for messages. */
  readonly service: string;
  readonly logger: Logger;
}

/** Loads and unloads that may be under way, or wait for others of their id. */
const maxOperations = 64;

/** Builds the resources of workers; there are neither yet. */
export function createWorkerResources(options: WorkerResourcesOptions): WorkerResources {
  const { service } = options;
  const loaded = new Map<number, LoadedResource>();
  const room = createResourceRoom(loaded, options);
  const holders = createResourceHolders(options);
  const turns = createTurns(options);
  const notFound = (id: number): ServingError =>
    new ServingError("RESOURCE_NOT_FOUND", `service '${service}' has no personal resource ${id}`);

  /** Takes one out, if it is there: no new call names it, those that do end first. */
  const unload = async (id: number, signal: AbortSignal): Promise<void> => {
    const resource = loaded.get(id);
    loaded.delete(id);
    if (!(await holders.untilUnnamed(id, signal))) {
      if (resource !== undefined) loaded.set(id, resource);
      throw new ServingError("SERVICE_BUSY", `personal resource ${id} of service '${service}' is in use`);
    }
    await holders.unload(id, signal);
  };

  const drop = (resource: LoadedResource, error: unknown): void => {
    const { id } = resource;
    loaded.delete(id);
    options.logger.error({ resource: id, err: error }, "a resource is taken out: a new worker cannot load it");
    const unloading = turns.take(id, turns.stopped, async (signal) => {
      // Meanwhile somebody may have loaded it anew.
      if (!loaded.has(id)) await unload(id, signal);
    });
    unloading.catch((failed: unknown) => options.logger.warn({ resource: id, err: failed }, "it was not unloaded"));
  };
  const replay = createReplay(drop, turns.stopped);

  return {
    load: (id, parts, signal) =>
      turns.takeIfFew(id, signal, async (limited) => {
        const bytes = parts.reduce((sum, part) => sum + part.data.length, 0);
        using _space = room.reserve(id, bytes);
        // Before the old one is unloaded, which would be lost for nothing.
        holders.assertSome();
        await unload(id, limited);
        await holders.load({ id, parts, bytes }, limited);
        loaded.set(id, { id, parts, bytes });
      }),
    unload: (id, signal) =>
      turns.takeIfFew(id, signal, async (limited) => {
        if (!loaded.has(id)) throw notFound(id);
        await unload(id, limited);
      }),
    find: (id) => loaded.get(id),
    list: () => [...loaded.values()],
    async join(worker) {
      const ids = holders.add(worker);
      let isGood = true;
      // Those that are just being loaded are not loaded into this worker by whoever loads them.
      for (const id of new Set([...loaded.keys(), ...turns.keys()])) {
        const taken = turns.take(id, turns.stopped, async (signal) => {
          const resource = loaded.get(id);
          if (resource !== undefined && !ids.has(id)) isGood = await replay(worker, resource, ids, signal);
        });
        await taken.catch(() => {
          isGood = false;
        });
        if (!isGood) return false;
      }
      return worker.isAlive;
    },
    leave: holders.remove,
    assertLoaded(ids) {
      for (const id of ids) if (!loaded.has(id)) throw notFound(id);
    },
    onCallEnded: holders.onCallEnded,
    stop: turns.stop,
  };
}

type Work = (signal: AbortSignal) => Promise<void>;

/** Gives the work on each resource its turn and its time. Every rejection is a ServingError. */
function createTurns({ service, timeoutMs }: WorkerResourcesOptions) {
  const lock = createKeyedLock();
  const stopping = new AbortController();
  let operations = 0;
  const late = (id: number) => (): ServingError => {
    const message = `personal resource ${id} of service '${service}' was not loaded or unloaded within ${timeoutMs} ms`;
    return new ServingError("DEADLINE_EXCEEDED", message);
  };
  const limit = (id: number, signal: AbortSignal) => limitSignals([signal, stopping.signal], timeoutMs, late(id));
  const take = async (id: number, signal: AbortSignal, work: Work): Promise<void> => {
    try {
      using _turn = await lock.acquire(id, signal);
      using limited = limit(id, signal);
      await work(limited.signal);
    } catch (error) {
      throw ServingError.from(error);
    }
  };
  return {
    /** The time begins with the turn. */
    take,
    /** For a caller, who waits for the turn as well. Throws SERVICE_BUSY when too many do. */
    async takeIfFew(id: number, signal: AbortSignal, work: Work): Promise<void> {
      if (operations >= maxOperations) {
        const message = `service '${service}' loads and unloads ${operations} personal resources already`;
        throw new ServingError("SERVICE_BUSY", message);
      }
      operations += 1;
      using limited = limit(id, signal);
      try {
        await take(id, limited.signal, work);
      } finally {
        operations -= 1;
      }
    },
    keys: lock.keys,
    stopped: stopping.signal,
    stop: (reason: ServingError): void => stopping.abort(reason),
  };
}

/** Loads a resource into a new worker; gives false when the worker is given up. What cannot be loaded is dropped. */
function createReplay(drop: (resource: LoadedResource, error: unknown) => void, stopped: AbortSignal) {
  const suspects = new WeakSet<LoadedResource>();
  return async (worker: ResourceWorker, resource: LoadedResource, ids: Set<number>, signal: AbortSignal) => {
    try {
      await worker.loadResource(resource.id, resource.parts, signal);
      ids.add(resource.id);
      suspects.delete(resource);
      return true;
    } catch (error) {
      if (stopped.aborted) return false;
      const { isAlive } = worker;
      // Its end may have come from elsewhere, the first time.
      if (isAlive || suspects.has(resource)) drop(resource, error);
      else suspects.add(resource);
      // One that hangs would not be given calls, nor end.
      if (signal.aborted) worker.kill();
      return isAlive && !signal.aborted;
    }
  };
}
