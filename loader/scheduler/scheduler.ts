import { ServingError } from "../../proto/errors.ts";
import type { Load } from "../../proto/metadata.ts";
import { createMean } from "./mean.ts";
import { createQueue } from "./queue.ts";
import { createSlots } from "./slots.ts";

/** What a call is bounded by. */
export interface RunOptions {
  /** Aborts, with a ServingError as its reason, when nobody waits any more or the deadline has passed. */
  readonly signal: AbortSignal;
  /** On the scheduler's clock; infinity for none. */
  readonly deadline: number;
  /** Higher goes first; 0 unless told. */
  readonly priority?: number;
}

/** Lets as many calls of one service run at once as it has slots; the others wait in a bounded queue. */
export interface Scheduler {
  /**
   * Runs the work when there is a slot for it; the slot comes back when the work has settled. Throws what the work
   * throws; SERVICE_BUSY at once when the queue is full or a slot would come only after the deadline; the signal's
   * reason when it aborts while the call waits.
   */
  run<Result>(work: () => Promise<Result>, options: RunOptions): Promise<Result>;
  /** A slot for as long as the caller needs one, as for a session; otherwise as {@link run}. */
  acquire(options: RunOptions): Promise<Disposable>;
  load(): Load;
  /** Changes how many slots there are, and how many of them are best kept busy. */
  resize(total: number, best: number): void;
  /** Resolves when no call runs or waits; at once when none does. */
  untilIdle(): Promise<void>;
}

/** What {@link createScheduler} builds from. */
export interface SchedulerOptions {
  /** The service's id, for messages. */
  readonly service: string;
  readonly total: number;
  readonly best: number;
  readonly maxQueueLength: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Told how long each call waited for its slot, in milliseconds. */
  readonly onWait?: (waitMs: number) => void;
}

/** The weight of the newest call in the mean service time. */
const newestWeight = 0.2;

/** Builds the scheduler of one service. */
export function createScheduler(options: SchedulerOptions): Scheduler {
  const { service, now, onWait = () => {} } = options;
  const queue = createQueue(options.maxQueueLength);
  const onIdle: (() => void)[] = [];
  let best = options.best;
  const isIdle = (): boolean => slots.idle === slots.total && queue.length === 0;
  const fill = (): void => {
    while (slots.idle > 0 && queue.length > 0) queue.shift()?.wake();
    if (isIdle()) for (const resolve of onIdle.splice(0)) resolve();
  };
  const slots = createSlots(options.total, fill);
  const serviceMs = createMean(newestWeight);

  const estimatedWaitMs = (ahead: number): number => Math.ceil((serviceMs.value * ahead) / slots.total);

  const busy = (message: string): ServingError =>
    new ServingError("SERVICE_BUSY", `service '${service}' is busy: ${message}`, {
      retryAfterMs: Math.max(estimatedWaitMs(queue.length + 1), 1),
    });

  const wait = (run: RunOptions): Promise<Disposable> => {
    if (queue.isFull) throw busy("its queue is full");
    // Refused now, a request still has time to be answered elsewhere; refused at its deadline, it has none.
    if (now() + estimatedWaitMs(queue.length + 1) > run.deadline) throw busy("a slot would come too late");
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        queue.remove(waiter);
        reject(run.signal.reason);
      };
      const waiter = {
        priority: run.priority ?? 0,
        wake() {
          run.signal.removeEventListener("abort", onAbort);
          const slot = slots.tryAcquire();
          if (slot === undefined) reject(new ServingError("INTERNAL", "a slot was given away twice"));
          else resolve(slot);
        },
      };
      run.signal.addEventListener("abort", onAbort, { once: true });
      queue.add(waiter);
    });
  };

  const acquire = async (run: RunOptions): Promise<Disposable> => {
    run.signal.throwIfAborted();
    const asked = now();
    const slot = slots.tryAcquire() ?? (await wait(run));
    onWait(now() - asked);
    return slot;
  };

  return {
    acquire,
    async run(work, run) {
      using _slot = await acquire(run);
      const started = now();
      try {
        return await work();
      } finally {
        serviceMs.add(now() - started);
      }
    },
    load() {
      const { total, idle } = slots;
      return { total, best, idle, queued: queue.length, waitMs: idle > 0 ? 0 : estimatedWaitMs(queue.length + 1) };
    },
    resize(total, nextBest) {
      slots.resize(total);
      best = nextBest;
      fill();
    },
    async untilIdle() {
      if (!isIdle()) await new Promise<void>((resolve) => onIdle.push(resolve));
    },
  };
}
