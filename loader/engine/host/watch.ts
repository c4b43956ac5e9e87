import type { Logger } from "../../../config/logger.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** What is watched for. */
export interface WatchOptions {
  /** How long a worker may go on with a call that nobody waits for. */
  readonly cancelGraceMs: number;
  /** How often a worker without a call is asked for a sign of life. */
  readonly probeIntervalMs: number;
  readonly logger: Logger;
}

/** An idle worker that was silent this often is dead. More than once, since a loader that slept sees one too many. */
const maxUnansweredPings = 2;

/** Kills workers that are stuck, from now until the function that it gives is called. */
export function watchWorkers(workers: ReadonlySet<WorkerProcess>, options: WatchOptions): () => void {
  const { cancelGraceMs, probeIntervalMs, logger } = options;
  const endStuckCalls = (): void => {
    for (const worker of workers) {
      if (!worker.isStuck()) continue;
      logger.error({ pid: worker.pid }, "a worker is killed: it does not end a call that nobody waits for");
      worker.kill();
    }
  };
  const probe = (): void => {
    for (const worker of workers) {
      // A run may keep a process from answering for as long as it takes; that is for the call's deadline to end.
      if (!worker.isIdle) continue;
      if (worker.unansweredPings < maxUnansweredPings) worker.ping();
      else {
        logger.error({ pid: worker.pid }, "a worker is killed: it gives no sign of life");
        worker.kill();
      }
    }
  };
  const timers = [
    setInterval(endStuckCalls, Math.max(10, cancelGraceMs / 4)),
    setInterval(probe, Math.max(10, probeIntervalMs)),
  ];
  return () => {
    for (const timer of timers) clearInterval(timer);
  };
}
