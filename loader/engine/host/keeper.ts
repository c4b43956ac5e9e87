import type { EngineDescription } from "../engine.ts";
import { createRestartPolicy, type Restart } from "./restart-policy.ts";
import { startWorkerProcess, type WorkerOptions, type WorkerProcess } from "./worker-process.ts";

/** What a keeper tells. */
export interface KeeperEvents {
  /** A worker has started. Resolves when it has been taken in; never rejects. */
  onReady(worker: WorkerProcess): Promise<void>;
  /** The worker has ended by itself, or could not be started again. */
  onDown(restart: Restart, worker?: WorkerProcess): void;
  /** A call of the worker is over. */
  onCallEnded(): void;
}

/** Keeps one worker process alive. */
export interface Keeper {
  /** Starts the worker for the first time; resolves when it is ready, with what it tells. Throws ServingError. Called once. */
  start(): Promise<EngineDescription | undefined>;
  /** Ends the worker, or its start, for good. Resolves when nothing of it is left. Never rejects. */
  stop(reason: unknown): Promise<void>;
}

const nothing = (): void => {};

/** Builds a keeper; nothing is started yet. `random` gives numbers in [0, 1). */
export function createKeeper(options: WorkerOptions, random: () => number, events: KeeperEvents): Keeper {
  const { logger } = options;
  const policy = createRestartPolicy(options.now, random);
  const stopping = new AbortController();
  let worker: WorkerProcess | undefined;
  let starting: Promise<void> = Promise.resolve();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const onCallEnded = (isAnswered: boolean): void => {
    if (isAnswered) policy.answered();
    events.onCallEnded();
  };
  const start = async (): Promise<EngineDescription | undefined> => {
    const started = await startWorkerProcess(options, stopping.signal, onCallEnded);
    worker = started;
    void started.ended.then(() => restartLater(started));
    await events.onReady(started);
    return started.description;
  };
  const restartLater = (ended?: WorkerProcess): void => {
    if (stopping.signal.aborted) return;
    const restart = policy.ended();
    logger.error({ crashes: restart.crashes, restartInMs: Math.round(restart.delayMs) }, "a worker ended");
    events.onDown(restart, ended);
    timer = setTimeout(() => {
      starting = start().then(nothing, (error: unknown) => {
        if (stopping.signal.aborted) return;
        logger.error({ err: error }, "a worker could not be restarted");
        restartLater();
      });
    }, restart.delayMs);
  };

  return {
    async start() {
      const first = start();
      starting = first.then(nothing, nothing);
      return await first;
    },
    async stop(reason) {
      stopping.abort(reason);
      clearTimeout(timer);
      await starting;
      await worker?.stop();
    },
  };
}
