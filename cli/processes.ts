import { CommandFailure } from "./failure.ts";
import { type ServiceProcess, type ServiceProcessOptions, StartError, startServiceProcess } from "./service-process.ts";

/** The loader and the gateway of one command, and what ends them. */
export interface Processes extends AsyncDisposable {
  /**
   * Aborts when the user or the system asks the command to end, with {@link Interrupted}, and when one of the processes ends by
   * itself, with a CommandFailure.
   */
  readonly signal: AbortSignal;
  /** Starts a process; the name is for messages. Throws CommandFailure with what it says when it does not start. */
  start(name: string, options: ServiceProcessOptions): Promise<ServiceProcess>;
  /** The work's result, unless the signal aborts first: then it throws the signal's reason. */
  during<Result>(work: Promise<Result>): Promise<Result>;
  /** Stops what was started, the last first. True when each let its requests finish. */
  stop(): Promise<boolean>;
}

/** The reason of a signal that aborts because the command was asked to end. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** SIGHUP comes from a terminal that closes. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** One Ctrl-C may come twice: from the terminal, and from a script's runner that passes it on. */
const onePressMs = 300;
/** How much later than its connections a process's own end is seen. */
const endOfProcessMs = 500;
/** How long requests in flight have after the command was asked to end; the processes' own limit is shorter. */
const stopGraceMs = 15_000;
/** What the processes of commands are configured with: short, because somebody waits at the terminal. */
export const drainTimeoutMs = 10_000;

/** Starts to listen for the signals that end a command; disposing of it stops everything. A second signal ends all at once. */
export function createProcesses(): Processes {
  const controller = new AbortController();
  const { signal } = controller;
  const running: ServiceProcess[] = [];
  const starting = new Set<Promise<ServiceProcess>>();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  // Whoever does not wait for it reads the signal.
  aborted.catch(() => {});
  let firstAt = Number.NEGATIVE_INFINITY;
  const onSignal = (): void => {
    const now = performance.now();
    if (!signal.aborted) {
      firstAt = now;
      controller.abort(new Interrupted("interrupted"));
    } else if (now - firstAt >= onePressMs) {
      for (const one of running) one.kill("SIGKILL");
      process.exit(1);
    }
  };
  for (const name of signals) process.on(name, onSignal);

  const stop = async (): Promise<boolean> => {
    controller.abort(new Interrupted("stopped"));
    // Those that are just being started are ended by their start, which clears up after them.
    await Promise.allSettled(starting);
    let isComplete = true;
    for (let next = running.at(-1); next !== undefined; next = running.at(-1)) {
      if ((await next.stop(stopGraceMs)) !== 0) isComplete = false;
      running.pop();
    }
    return isComplete;
  };
  const begin = async (name: string, options: ServiceProcessOptions): Promise<ServiceProcess> => {
    const started = await startServiceProcess({ ...options, ownGroup: true, signal }).catch((thrown: unknown) => {
      if (signal.aborted) throw signal.reason;
      throw startFailure(name, thrown);
    });
    if (signal.aborted) {
      await started.stop(stopGraceMs);
      throw signal.reason;
    }
    running.push(started);
    void started.exited.then((code) => controller.abort(new CommandFailure(`the ${name} ended with code ${code}`)));
    return started;
  };
  return {
    signal,
    async start(name, options) {
      signal.throwIfAborted();
      const started = begin(name, options);
      starting.add(started);
      try {
        return await started;
      } finally {
        starting.delete(started);
      }
    },
    async during(work) {
      try {
        return await Promise.race([work, aborted]);
      } catch (thrown) {
        // A connection that breaks is seen before the end of the process that it led to, which says more.
        if (!(thrown instanceof CommandFailure || thrown instanceof Interrupted)) {
          await Promise.race([aborted, Bun.sleep(endOfProcessMs)]);
        }
        throw thrown;
      }
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
      for (const name of signals) process.off(name, onSignal);
    },
  };
}

function startFailure(name: string, thrown: unknown): unknown {
  if (!(thrown instanceof StartError)) return thrown;
  return new CommandFailure(`the ${name} cannot start: ${thrown.reason ?? thrown.message}`, { cause: thrown });
}
