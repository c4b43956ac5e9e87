import type { Logger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { LoadedResource } from "../engine.ts";
import { limitSignals } from "../limited-signal.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** What is asked of a worker about personal resources. */
export type ResourceWorker = Pick<WorkerProcess, "isAlive" | "names" | "loadResource" | "unloadResource" | "kill">;

/** Workers, and which resources each of them has. */
export interface ResourceHolders {
  /** Takes in a worker that has none. Gives the set of those that it has, for its owner to fill. */
  add(worker: ResourceWorker): Set<number>;
  remove(worker: ResourceWorker): void;
  /** Throws ServingError SERVICE_NOT_READY when no worker is alive. */
  assertSome(): void;
  /** Resolves when no worker has a call that names it, with false when the signal aborts before that. */
  untilUnnamed(id: number, signal: AbortSignal): Promise<boolean>;
  /** Loads into every worker; when one cannot, it is taken back from the others. Throws ServingError. */
  load(resource: LoadedResource, signal: AbortSignal): Promise<void>;
  /** Unloads from every worker that has it; afterwards none counts as having it. Throws ServingError. */
  unload(id: number, signal: AbortSignal): Promise<void>;
  /** A call of some worker is over. */
  onCallEnded(): void;
}

/** What {@link createResourceHolders} is told. */
export interface ResourceHoldersOptions {
  /** The service's id, for messages. */
  readonly service: string;
  /** How long it may take to undo a load. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** Builds an empty set of workers. */
export function createResourceHolders({ service, timeoutMs, logger }: ResourceHoldersOptions): ResourceHolders {
  const held = new Map<ResourceWorker, Set<number>>();
  let callEnded = Promise.withResolvers<void>();

  const alive = (): ResourceWorker[] => {
    const workers = [...held.keys()].filter((worker) => worker.isAlive);
    if (workers.length > 0) return workers;
    throw new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' has no process that is ready`);
  };

  /** Never rejects. Workers keep to the order in which they are asked, so what comes later finds it undone. */
  const takeBack = async (id: number, workers: readonly ResourceWorker[]): Promise<void> => {
    using limited = limitSignals([], timeoutMs, () => new ServingError("DEADLINE_EXCEEDED", "it took too long"));
    const unloads = workers.map((worker) => worker.unloadResource(id, limited.signal));
    const failed = firstRejected(await Promise.allSettled(unloads));
    if (failed !== undefined) logger.warn({ resource: id, err: failed }, "a load could not be undone in every worker");
  };

  return {
    add(worker) {
      const ids = new Set<number>();
      held.set(worker, ids);
      return ids;
    },
    remove: (worker) => void held.delete(worker),
    assertSome: () => void alive(),
    async untilUnnamed(id, signal) {
      const aborted = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => aborted.resolve(), { once: true });
      while (held.keys().some((worker) => worker.isAlive && worker.names(id))) {
        if (signal.aborted) return false;
        await Promise.race([callEnded.promise, aborted.promise]);
      }
      return true;
    },
    async load({ id, parts }, signal) {
      const workers = alive();
      const outcomes = await Promise.allSettled(workers.map((worker) => worker.loadResource(id, parts, signal)));
      const failed = firstRejected(outcomes);
      if (failed === undefined) {
        for (const worker of workers) held.get(worker)?.add(id);
        return;
      }
      // Whether a worker still does what nobody waits for any more is open: it is told to undo it in either case.
      const hasIt = (index: number): boolean => signal.aborted || outcomes[index]?.status === "fulfilled";
      const back = takeBack(
        id,
        workers.filter((worker, index) => worker.isAlive && hasIt(index)),
      );
      if (!signal.aborted) await back;
      throw failed;
    },
    async unload(id, signal) {
      const unloads = [...held].map(async ([worker, ids]) => {
        if (ids.delete(id) && worker.isAlive) await worker.unloadResource(id, signal);
      });
      const failed = firstRejected(await Promise.allSettled(unloads));
      // With its worker it is gone as well.
      if (failed !== undefined && failed.reason !== "ENGINE_CRASHED") throw failed;
    },
    onCallEnded() {
      callEnded.resolve();
      callEnded = Promise.withResolvers();
    },
  };
}

function firstRejected(outcomes: readonly PromiseSettledResult<unknown>[]): ServingError | undefined {
  const rejected = outcomes.find((outcome) => outcome.status === "rejected");
  return rejected === undefined ? undefined : ServingError.from(rejected.reason);
}
