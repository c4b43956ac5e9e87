import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type {
  BatchCall,
  EngineDescription,
  EngineHealth,
  EngineInput,
  EngineResources,
  EngineResult,
  ResourceLimits,
} from "../engine.ts";
import { createDispatcher, type Dispatcher } from "./dispatcher.ts";
import { createKeeper, type Keeper, type KeeperEvents } from "./keeper.ts";
import { watchWorkers } from "./watch.ts";
import type { WorkerOptions, WorkerProcess } from "./worker-process.ts";
import { createWorkerResources, type WorkerResources } from "./worker-resources.ts";

/** What {@link createSupervisor} is told beside how a worker is started. */
export interface SupervisorOptions extends WorkerOptions {
  /** How many processes are kept alive. */
  readonly workers: number;
  /** Calls and sessions that one worker is given at once; the others wait here, so that they do not end with it. */
  readonly callsPerWorker?: number;
  /** Calls that may wait for a worker. The scheduler holds slots, so normally none does. */
  readonly maxWaitingCalls?: number;
  /** How often a worker without a call is asked for a sign of life; it is killed when it leaves two unanswered. */
  readonly probeIntervalMs?: number;
  /** What personal resources are bounded by; none are taken unless told. */
  readonly resources?: ResourceLimits | undefined;
  readonly onHealth: (health: EngineHealth) => void;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

/** Keeps worker processes alive and gives them calls. */
export interface Supervisor {
  /** Starts every worker; resolves when all are ready, with what the first told. Throws ServingError when one fails. */
  start(signal: AbortSignal): Promise<EngineDescription | undefined>;
  /** Runs one call on the least busy worker that is ready. Throws ServingError. */
  infer(request: InferRequest, signal: AbortSignal): Promise<EngineResult>;
  /** Runs several calls together on the least busy worker that is ready. Throws ServingError when there is none. */
  inferBatch(batch: readonly BatchCall[]): Promise<PromiseSettledResult<EngineResult>[]>;
  /** Runs one session on the least busy worker that is ready. Throws ServingError. */
  stream(request: InferRequest, inputs: AsyncIterable<EngineInput>, signal: AbortSignal): AsyncIterable<EngineResult>;
  /** The personal resources that every worker has. */
  readonly resources: EngineResources;
  /** Stops every worker. Never rejects. */
  stop(): Promise<void>;
}

/** Enough for any number of threads, and few enough to hold. */
const defaultCallsPerWorker = 1024;
const defaultMaxWaitingCalls = 1024;
const defaultProbeIntervalMs = 5000;
const noResources: ResourceLimits = { maxCount: 0, maxBytes: 0, timeoutMs: 0 };

const never = new AbortController().signal;

/** Builds a supervisor; nothing is started yet. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { service, onHealth, probeIntervalMs = defaultProbeIntervalMs } = options;
  const ready = new Set<WorkerProcess>();
  const { callsPerWorker = defaultCallsPerWorker, maxWaitingCalls = defaultMaxWaitingCalls } = options;
  const dispatcher = createDispatcher(ready, { service, callsPerWorker, maxWaitingCalls });
  const resources = createWorkerResources({ ...(options.resources ?? noResources), service, logger: options.logger });
  /** Those that get calls, and those that are still given their resources. */
  const workers = new Set<WorkerProcess>();
  let isStarted = false;
  let isStopped = false;
  let unwatch = (): void => {};

  const events: KeeperEvents = {
    async onReady(worker) {
      if (isStopped) return;
      workers.add(worker);
      if (!(await resources.join(worker)) || isStopped) return;
      ready.add(worker);
      if (isStarted) onHealth({ ready: true });
      dispatcher.advance();
    },
    onDown({ crashes, isLoop }, worker) {
      if (worker !== undefined) {
        for (const set of [workers, ready]) set.delete(worker);
        resources.leave(worker);
      }
      if (ready.size > 0) return;
      dispatcher.refuse();
      const reason = isLoop ? `its engine ended ${crashes} times within a minute` : "its engine is restarting";
      if (isStarted) onHealth({ ready: false, reason });
    },
    onCallEnded() {
      resources.onCallEnded();
      dispatcher.advance();
    },
  };
  const keepers = Array.from({ length: options.workers }, () => createKeeper(options, options.random, events));

  const stopAll = async (reason: unknown): Promise<void> => {
    isStopped = true;
    resources.stop(ServingError.from(reason));
    unwatch();
    ready.clear();
    dispatcher.refuse();
    await Promise.all(keepers.map((keeper) => keeper.stop(reason)));
  };

  return {
    async start(signal) {
      unwatch = watchWorkers(workers, { ...options, probeIntervalMs });
      const descriptions = await startAll(keepers, signal).catch(async (error: unknown) => {
        await stopAll(error);
        throw error;
      });
      isStarted = true;
      if (ready.size > 0) onHealth({ ready: true });
      return descriptions[0];
    },
    infer: (request, signal) =>
      dispatcher.run(
        naming(request, resources, (worker) => worker.exec(request, signal)),
        signal,
      ),
    // Each call ends by its own signal; the group as such waits for its worker.
    inferBatch: (batch) => dispatcher.run((worker) => worker.execBatch(batch), never),
    stream: (request, inputs, signal) => runStream(dispatcher, resources, request, inputs, signal),
    resources,
    stop: () => stopAll(new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' was stopped`)),
  };
}

/** Starts every worker for the first time; rejects when one cannot, or with the signal's reason. */
async function startAll(
  keepers: readonly Keeper[],
  signal: AbortSignal,
): Promise<readonly (EngineDescription | undefined)[]> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(ServingError.from(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([Promise.all(keepers.map((keeper) => keeper.start())), aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

type Begin<Result> = (worker: WorkerProcess) => Promise<Result>;

/** Begins a call if the resources that it names are still there; while it waited for a worker they may have gone. */
function naming<Result>(
  { resourceIds }: InferRequest,
  resources: Pick<WorkerResources, "assertLoaded">,
  begin: Begin<Result>,
): Begin<Result> {
  if (resourceIds.length === 0) return begin;
  return async (worker) => {
    resources.assertLoaded(resourceIds);
    return begin(worker);
  };
}

/** A session that waits for its worker like any call, and holds it until it is over. */
async function* runStream(
  dispatcher: Dispatcher<WorkerProcess>,
  resources: Pick<WorkerResources, "assertLoaded">,
  request: InferRequest,
  inputs: AsyncIterable<EngineInput>,
  signal: AbortSignal,
): AsyncGenerator<EngineResult> {
  let results: AsyncGenerator<EngineResult> | undefined;
  // The first step is what opens the session on the worker.
  const open = naming(request, resources, (worker) => {
    results = worker.stream(request, inputs, signal);
    return results.next();
  });
  let next = await dispatcher.run(open, signal);
  try {
    while (next.done !== true) {
      yield next.value;
      next = (await results?.next()) ?? { done: true, value: undefined };
    }
  } finally {
    await results?.return(undefined);
  }
}
