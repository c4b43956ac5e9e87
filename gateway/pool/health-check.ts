import type { Endpoint } from "../types.ts";

/** Asks an endpoint whether it can be called: resolves when it can, rejects when it cannot or when the signal aborts. */
export type Probe = (endpoint: Endpoint, signal: AbortSignal) => Promise<void>;

/** Runs a function after a delay; gives back what takes the order back. */
export type Schedule = (run: () => void, delayMs: number) => () => void;

/** The part of a pool that probing needs. */
export interface ProbedPool {
  endpoints(): readonly Endpoint[];
  setHealthy(endpoint: Endpoint, healthy: boolean): void;
}

/** What {@link startHealthCheck} is told. */
export interface HealthCheckOptions {
  readonly pool: ProbedPool;
  readonly probe: Probe;
  /** From the start of one round of probes to the start of the next. */
  readonly intervalMs: number;
  /** How long one probe may take. */
  readonly timeoutMs: number;
  /** Probes in a row that make an endpoint unhealthy; 2 unless told. */
  readonly unhealthyThreshold?: number;
  /** Probes in a row that make it healthy again; 1 unless told. */
  readonly healthyThreshold?: number;
  /**
   * Called with the first endpoint that is found healthy, and again after a later probe if it rejects. Its signal
   * aborts after `timeoutMs`.
   */
  readonly onFirstHealthy?: Probe;
  readonly schedule?: Schedule;
}

/** A running health check. */
export interface HealthCheck extends Disposable {
  /** Resolves when the round of probes that is under way has ended; at once when none is. */
  settled(): Promise<void>;
}

/** Probes under way at once for one service, so that a large pool's round does not crowd out calls. */
export const maxConcurrentProbes = 16;

/** Orders by the process's own timers. */
export const scheduleByTimeout: Schedule = (run, delayMs) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

/**
 * Probes every member of a pool, the first time at once, until it is disposed of. A round starts `intervalMs` after the
 * last one did, or when that has ended if it took longer.
 */
export function startHealthCheck(options: HealthCheckOptions): HealthCheck {
  const { pool, intervalMs, schedule = scheduleByTimeout } = options;
  const stopping = new AbortController();
  const check = createEndpointCheck(options, schedule, stopping.signal);
  let running: Promise<void> = Promise.resolve();
  let cancelNext = (): void => {};

  const startRound = (): void => {
    let isDue = false;
    let isOver = false;
    const goOn = (): void => {
      if (isDue && isOver && !stopping.signal.aborted) startRound();
    };
    cancelNext = schedule(() => {
      isDue = true;
      goOn();
    }, intervalMs);
    running = forEachAtOnce(pool.endpoints(), maxConcurrentProbes, check).then(() => {
      isOver = true;
      goOn();
    });
  };
  startRound();

  return {
    settled: () => running,
    [Symbol.dispose]() {
      cancelNext();
      stopping.abort();
    },
  };
}

interface Streak {
  healthy: boolean;
  length: number;
}

/** Probes one endpoint once and tells the pool when enough probes in a row agree. Never rejects. */
function createEndpointCheck(options: HealthCheckOptions, schedule: Schedule, stopping: AbortSignal) {
  const { pool, probe, timeoutMs, unhealthyThreshold = 2, healthyThreshold = 1, onFirstHealthy } = options;
  const streaks = new WeakMap<Endpoint, Streak>();
  let first: "awaited" | "being told" | "told" = onFirstHealthy === undefined ? "told" : "awaited";

  const tellFirst = async (endpoint: Endpoint): Promise<void> => {
    if (onFirstHealthy === undefined || first !== "awaited") return;
    first = "being told";
    first = (await resolves(onFirstHealthy, endpoint, timeoutMs, schedule, stopping)) ? "told" : "awaited";
  };

  return async (endpoint: Endpoint): Promise<void> => {
    const healthy = await resolves(probe, endpoint, timeoutMs, schedule, stopping);
    if (stopping.aborted) return;
    const before = streaks.get(endpoint);
    const length = before?.healthy === healthy ? before.length + 1 : 1;
    streaks.set(endpoint, { healthy, length });
    if (length >= (healthy ? healthyThreshold : unhealthyThreshold)) pool.setHealthy(endpoint, healthy);
    if (healthy) await tellFirst(endpoint);
  };
}

/** Whether a call resolves in time. A call that ignores its signal is given up all the same. */
function resolves(
  call: Probe,
  endpoint: Endpoint,
  timeoutMs: number,
  schedule: Schedule,
  stopping: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const controller = new AbortController();
    const end = (resolved: boolean): void => {
      cancelTimeout();
      stopping.removeEventListener("abort", giveUp);
      resolve(resolved);
    };
    const giveUp = (): void => {
      controller.abort();
      end(false);
    };
    const cancelTimeout = schedule(giveUp, timeoutMs);
    stopping.addEventListener("abort", giveUp);
    Promise.try(call, endpoint, controller.signal).then(
      () => end(true),
      () => end(false),
    );
  });
}

/** Runs a function on every item, on at most `limit` of them at once. Rejects as soon as it does for one of them. */
export async function forEachAtOnce<Item>(
  items: readonly Item[],
  limit: number,
  run: (item: Item) => Promise<void>,
): Promise<void> {
  const left = items.values();
  const worker = async (): Promise<void> => {
    for (const item of left) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
