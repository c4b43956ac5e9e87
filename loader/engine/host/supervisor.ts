import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { EngineHealth, EngineInput, EngineResult } from "../engine.ts";
import { createRestartPolicy } from "./restart-policy.ts";
import { startWorkerProcess, type WorkerOptions, type WorkerProcess } from "./worker-process.ts";

/** What {@link createSupervisor} is told beside how a worker is started. */
export interface SupervisorOptions extends WorkerOptions {
  /** How many processes are kept alive. */
  readonly workers: number;
  /** How long a worker may go on with a call that nobody waits for before it is killed. */
  readonly cancelGraceMs: number;
  readonly onHealth: (health: EngineHealth) => void;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

/** Keeps worker processes alive and gives them calls. */
export interface Supervisor {
  /** Starts every worker; resolves when all are ready. Throws ServingError when one fails. */
  start(signal: AbortSignal): Promise<void>;
  /** Runs one call on the least busy worker that is ready. Throws ServingError. */
  infer(request: InferRequest, signal: AbortSignal): Promise<EngineResult>;
  /** Runs one session on the least busy worker that is ready. Throws ServingError. */
  stream(request: InferRequest, inputs: AsyncIterable<EngineInput>, signal: AbortSignal): AsyncIterable<EngineResult>;
  /** Stops every worker. Never rejects. */
  stop(): Promise<void>;
}

/** Builds a supervisor; nothing is started yet. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { service, logger, now, onHealth } = options;
  const nextRestart = createRestartPolicy(now, options.random);
  const stopping = new AbortController();
  const workers = createWorkerSet(options, stopping.signal, onCrash);

  function onCrash(): void {
    const { crashes, isLoop, delayMs } = nextRestart();
    if (workers.ready.size === 0) {
      const reason = isLoop ? `its engine ended ${crashes} times within a minute` : "its engine is restarting";
      onHealth({ ready: false, reason });
    }
    logger.error({ crashes, restartInMs: Math.round(delayMs) }, "a worker ended");
    const timer = setTimeout(() => void restart(), delayMs);
    stopping.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  async function restart(): Promise<void> {
    try {
      await workers.startOne();
      onHealth({ ready: true });
    } catch (error) {
      if (stopping.signal.aborted) return;
      logger.error({ err: error }, "a worker could not be restarted");
      onCrash();
    }
  }

  return {
    async start(signal) {
      const timer = setInterval(() => killStuck(workers.ready, options), Math.max(10, options.cancelGraceMs / 4));
      stopping.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
      const onAbort = (): void => stopping.abort(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await Promise.all(Array.from({ length: options.workers }, workers.startOne));
        onHealth({ ready: true });
      } catch (error) {
        stopping.abort(error);
        await workers.stop();
        throw error;
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },
    infer: async (request, signal) => leastBusy(workers.ready, service).exec(request, signal),
    stream: (request, inputs, signal) => leastBusy(workers.ready, service).stream(request, inputs, signal),
    async stop() {
      stopping.abort(new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' was stopped`));
      await workers.stop();
    },
  };
}

function leastBusy(ready: ReadonlySet<WorkerProcess>, service: string): WorkerProcess {
  let best: WorkerProcess | undefined;
  for (const worker of ready) if (best === undefined || worker.calls < best.calls) best = worker;
  if (best !== undefined) return best;
  throw new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' is restarting`);
}

interface WorkerSet {
  readonly ready: ReadonlySet<WorkerProcess>;
  /** Starts one more worker; resolves when it is ready. */
  startOne(): Promise<void>;
  /** Resolves when every process that was ever started is gone. */
  stop(): Promise<void>;
}

function createWorkerSet(options: SupervisorOptions, stopping: AbortSignal, onCrash: () => void): WorkerSet {
  const ready = new Set<WorkerProcess>();
  // What stop() waits for: starts under way and processes that live.
  const pending = new Set<Promise<unknown>>();
  const track = <Result>(promise: Promise<Result>): Promise<Result> => {
    const settled: Promise<unknown> = promise.catch(() => {}).then(() => pending.delete(settled));
    pending.add(settled);
    return promise;
  };
  return {
    ready,
    async startOne() {
      const worker = await track(startWorkerProcess(options, stopping));
      ready.add(worker);
      void track(worker.gone);
      void worker.ended.then(() => {
        ready.delete(worker);
        if (!stopping.aborted) onCrash();
      });
    },
    async stop() {
      await Promise.all([...ready].map((worker) => worker.stop()));
      await Promise.all(pending);
    },
  };
}

/** Ends workers that are stuck in calls which nobody waits for. */
function killStuck(ready: ReadonlySet<WorkerProcess>, { now, cancelGraceMs, logger }: SupervisorOptions): void {
  for (const worker of ready) {
    const cancelledAt = worker.oldestCancelledAt();
    if (cancelledAt === undefined || now() - cancelledAt < cancelGraceMs) continue;
    logger.error({ pid: worker.pid }, "a worker is killed: it does not end a cancelled call");
    worker.kill();
  }
}
