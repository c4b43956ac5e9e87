import { ServingError } from "../../../proto/errors.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** What a dispatcher needs to know. */
export interface DispatcherOptions {
  /** The service's id, for messages. */
  readonly service: string;
  /** Calls that a worker computes at once; more would wait inside it, and end with it. */
  readonly callsPerWorker: number;
  /** Calls that may wait for a worker. */
  readonly maxWaitingCalls: number;
}

/** Gives each call to the least busy worker, in the order in which the calls came. */
export interface Dispatcher<Worker> {
  /**
   * Runs `begin` with a worker that has room, now or when there is one. `begin` must open its call before it returns.
   * Throws ServingError SERVICE_NOT_READY without a worker, SERVICE_BUSY when too many calls wait; the signal's reason.
   */
  run<Result>(begin: (worker: Worker) => Promise<Result>, signal: AbortSignal): Promise<Result>;
  /** Some worker has room, or is new. */
  advance(): void;
  /** Refuses every call that waits: there is no worker any more. None of them was begun. */
  refuse(): void;
}

interface WaitingCall<Worker> {
  begin(worker: Worker): void;
  refuse(): void;
}

/** What a dispatcher looks at in a worker. */
export type Dispatchable = Pick<WorkerProcess, "isAlive" | "calls">;

/** Builds a dispatcher over a set of workers that its owner keeps up to date. */
export function createDispatcher<Worker extends Dispatchable>(
  workers: ReadonlySet<Worker>,
  options: DispatcherOptions,
): Dispatcher<Worker> {
  const { service, callsPerWorker, maxWaitingCalls } = options;
  // A set keeps the order, and loses a call that hangs up without a search.
  const waiting = new Set<WaitingCall<Worker>>();
  const notReady = (): ServingError =>
    new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' has no process that is ready`);

  const wait = <Result>(begin: (worker: Worker) => Promise<Result>, signal: AbortSignal): Promise<Result> =>
    new Promise<Result>((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(call);
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        leave();
        reject(ServingError.from(signal.reason));
      };
      const call: WaitingCall<Worker> = {
        begin(worker) {
          leave();
          begin(worker).then(resolve, reject);
        },
        refuse() {
          leave();
          reject(notReady());
        },
      };
      waiting.add(call);
      signal.addEventListener("abort", onAbort, { once: true });
    });

  return {
    async run(begin, signal) {
      if (signal.aborted) throw ServingError.from(signal.reason);
      const worker = leastBusy(workers);
      if (worker === undefined) throw notReady();
      if (waiting.size === 0 && worker.calls < callsPerWorker) return begin(worker);
      if (waiting.size >= maxWaitingCalls) {
        throw new ServingError("SERVICE_BUSY", `${waiting.size} calls wait for the engine of service '${service}'`);
      }
      return wait(begin, signal);
    },
    advance() {
      for (const call of waiting) {
        const worker = leastBusy(workers);
        if (worker === undefined || worker.calls >= callsPerWorker) return;
        call.begin(worker);
      }
    },
    refuse() {
      for (const call of waiting) call.refuse();
    },
  };
}

function leastBusy<Worker extends Dispatchable>(workers: ReadonlySet<Worker>): Worker | undefined {
  let best: Worker | undefined;
  for (const worker of workers) {
    if (worker.isAlive && (best === undefined || worker.calls < best.calls)) best = worker;
  }
  return best;
}
