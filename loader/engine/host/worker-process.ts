import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket, Subprocess } from "bun";
import type { Logger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { EngineInput, EngineResult } from "../engine.ts";
import { createCallTable, execCall } from "./call.ts";
import { createFrameParser, encodeFrame, type Frame, frameKind } from "./frames.ts";
import { readFailure, readText, writeConfig } from "./messages.ts";
import { logOutput } from "./output-log.ts";
import { runSession } from "./session.ts";
import { createSocketWriter, type SocketWriter } from "./socket-writer.ts";

/** How a worker process is started. */
export interface WorkerOptions {
  /** The service's id, for messages. */
  readonly service: string;
  readonly command: readonly string[];
  readonly cwd?: string;
  /** The process's whole environment, beside the two variables that lead it to its socket. */
  readonly env: Readonly<Record<string, string>>;
  /** Sent in INIT. */
  readonly config: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
  /** How long a worker that is asked to stop may take before it is killed. */
  readonly stopGraceMs: number;
  readonly maxFrameBytes: number;
  readonly logger: Logger;
  readonly now: () => number;
  readonly onProgress: (progress: string) => void;
}

/** One worker process that is ready for calls. */
export interface WorkerProcess {
  readonly pid: number;
  /** Resolves when the process has ended, however it did, before its calls fail. */
  readonly ended: Promise<void>;
  /** Resolves when nothing of it is left. */
  readonly gone: Promise<void>;
  /** Calls that it has not answered. */
  readonly calls: number;
  /** Runs one once-call. When the signal aborts, the worker is told, the caller is not kept waiting. */
  exec(request: InferRequest, signal: AbortSignal): Promise<EngineResult>;
  /** Runs one session. Throws ServingError. */
  stream(request: InferRequest, inputs: AsyncIterable<EngineInput>, signal: AbortSignal): AsyncIterable<EngineResult>;
  /** Calls that were cancelled and that the worker has not finished yet, by the time of their cancelling. */
  oldestCancelledAt(): number | undefined;
  /** Asks it to stop, then kills it. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Kills it at once. */
  kill(): void;
}

/**
 * Starts a worker process and waits until it is ready. It is led to a Unix socket in a private folder, and must say a
 * secret first, so that nothing else poses as the worker.
 *
 * @throws ServingError SERVICE_NOT_READY with the worker's own words when it fails to start, or not in time.
 */
export async function startWorkerProcess(options: WorkerOptions, signal: AbortSignal): Promise<WorkerProcess> {
  const { service, logger, now } = options;
  const folder = await mkdtemp(join(tmpdir(), "athena-engine-"));
  await chmod(folder, 0o700);
  const calls = createCallTable(now);
  const ready = Promise.withResolvers<void>();
  // A rejection that comes while nobody waits yet is not lost: it is awaited below.
  ready.promise.catch(() => {});
  const channel = listenForWorker(join(folder, "socket"), options, {
    ready,
    onCallFrame: calls.onFrame,
    // Without its connection it is of no use, and its calls would wait for ever.
    onLost: () => child.kill("SIGKILL"),
  });
  let child: Subprocess<"ignore", "pipe", "pipe">;
  try {
    child = spawnWorker(options, folder, channel.token);
  } catch (cause) {
    channel.close();
    await rm(folder, { recursive: true, force: true });
    throw new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' cannot be started`, { cause });
  }
  void logOutput(child.stdout, logger, "info", now);
  void logOutput(child.stderr, logger, "warn", now);
  const ended = Promise.withResolvers<void>();
  let hasEnded = false;
  const gone = child.exited.then(async () => {
    hasEnded = true;
    ended.resolve();
    const how = child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`;
    const error = new ServingError("ENGINE_CRASHED", `the engine of service '${service}' ended (${how})`);
    ready.reject(
      new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' ended before it was ready (${how})`),
    );
    calls.fail(error);
    channel.close();
    await rm(folder, { recursive: true, force: true });
  });
  await untilReady(ready.promise, child, gone, options, signal);

  const assertAlive = (): void => {
    if (hasEnded) throw new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' has ended`);
  };
  return {
    pid: child.pid,
    ended: ended.promise,
    gone,
    get calls() {
      return calls.size;
    },
    async exec(request, callSignal) {
      assertAlive();
      return execCall(calls, channel.send, request, callSignal);
    },
    stream(request, inputs, callSignal) {
      assertAlive();
      return runSession(calls, channel.send, request, inputs, callSignal);
    },
    oldestCancelledAt: calls.oldestCancelledAt,
    async stop() {
      channel.send(encodeFrame(frameKind.stop, 0));
      const timers = [
        setTimeout(() => child.kill("SIGTERM"), options.stopGraceMs / 2),
        setTimeout(() => child.kill("SIGKILL"), options.stopGraceMs),
      ];
      await gone;
      for (const timer of timers) clearTimeout(timer);
    },
    kill: () => child.kill("SIGKILL"),
  };
}

function spawnWorker({ command, cwd, env }: WorkerOptions, folder: string, token: string) {
  return Bun.spawn([...command], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...env, ATHENA_ENGINE_SOCKET: join(folder, "socket"), ATHENA_ENGINE_TOKEN: token },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function untilReady(
  ready: Promise<void>,
  child: Subprocess,
  gone: Promise<void>,
  { service, startTimeoutMs }: WorkerOptions,
  signal: AbortSignal,
): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = `the engine of service '${service}' was not ready within ${startTimeoutMs} ms`;
    late.reject(new ServingError("SERVICE_NOT_READY", message));
  }, startTimeoutMs);
  const onAbort = (): void => late.reject(ServingError.from(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await Promise.race([ready, late.promise]);
  } catch (error) {
    child.kill("SIGKILL");
    await gone;
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

interface Channel {
  readonly token: string;
  send(pieces: readonly Uint8Array[]): void;
  close(): void;
}

interface ChannelEvents {
  readonly ready: PromiseWithResolvers<void>;
  onCallFrame(frame: Frame): void;
  /** The worker's connection is gone. */
  onLost(): void;
}

/** Waits on the socket for the worker, greets it, and passes on the frames of its calls. */
function listenForWorker(path: string, options: WorkerOptions, events: ChannelEvents): Channel {
  const { ready } = events;
  const token = Buffer.from(crypto.getRandomValues(new Uint8Array(24))).toString("hex");
  let worker: { socket: Socket<undefined>; writer: SocketWriter } | undefined;
  const parser = createFrameParser(options.maxFrameBytes);

  const greet = (socket: Socket<undefined>, frame: Frame): void => {
    if (frame.kind !== frameKind.hello || readText(frame.body) !== token) throw new Error("a stranger on the socket");
    worker = { socket, writer: createSocketWriter(socket) };
    worker.writer.send(encodeFrame(frameKind.init, 0, writeConfig(options.config)));
  };
  const onFrame = (socket: Socket<undefined>, frame: Frame): void => {
    if (worker === undefined) greet(socket, frame);
    else if (frame.callId !== 0) events.onCallFrame(frame);
    else if (frame.kind === frameKind.progress) options.onProgress(readText(frame.body));
    else if (frame.kind === frameKind.ready) ready.resolve();
    else if (frame.kind === frameKind.failed) {
      ready.reject(new ServingError("SERVICE_NOT_READY", readFailure(frame.body).message));
    }
  };

  const server = Bun.listen<undefined>({
    unix: path,
    socket: {
      data(socket, chunk) {
        if (worker !== undefined && worker.socket !== socket) return void socket.end();
        try {
          for (const frame of parser.push(chunk)) onFrame(socket, frame);
        } catch (error) {
          options.logger.error({ err: error }, "the worker broke the protocol");
          socket.terminate();
        }
      },
      drain: (socket) => {
        if (worker?.socket === socket) worker.writer.onDrain();
      },
      close(socket) {
        if (worker?.socket === socket) events.onLost();
      },
      error() {},
    },
  });
  return {
    token,
    send: (pieces) => worker?.writer.send(pieces),
    close() {
      worker?.socket.terminate();
      server.stop(true);
    },
  };
}
