import type { Logger } from "../../../config/logger.ts";
import { ServingError } from "../../../proto/errors.ts";
import type { InferRequest } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { BatchCall, EngineDescription, EngineInput, EngineResult } from "../engine.ts";
import { type CallTable, createCallTable, execCall, type SendFrame } from "./call.ts";
import { encodeFrame, type Frame, frameKind } from "./frames.ts";
import { execGroup } from "./group.ts";
import { readDescription, readFailure, readText, writeConfig } from "./messages.ts";
import { logOutput } from "./output-log.ts";
import { signalGroup } from "./process-group.ts";
import { callResource } from "./resource-call.ts";
import { runSession } from "./session.ts";
import { listenForWorker, type WorkerChannel } from "./worker-channel.ts";
import { createNotes } from "./worker-notes.ts";
import {
  createSocketFolder,
  createToken,
  endOf,
  type SocketFolder,
  spawnWorker,
  untilGone,
  untilReady,
} from "./worker-start.ts";

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
  /** How long a worker may go on with a call that nobody waits for before it is killed. */
  readonly cancelGraceMs: number;
  readonly maxFrameBytes: number;
  readonly logger: Logger;
  readonly now: () => number;
  readonly onProgress: (progress: string) => void;
  /** Told what the user's code counts. */
  readonly onMeter?: ((key: string, count: number) => void) | undefined;
}

/** One worker process that is ready for calls. */
export interface WorkerProcess {
  readonly pid: number;
  /** What it told about its service when it was ready. */
  readonly description: EngineDescription | undefined;
  /** False from the moment in which the process has ended, before its calls fail. */
  readonly isAlive: boolean;
  /** Resolves when the process has ended, however it did. */
  readonly ended: Promise<void>;
  /** Resolves when nothing of it is left: its group, its connection, its folder. Never rejects. */
  readonly gone: Promise<void>;
  /** Requests and sessions that it has not ended, cancelled ones included. */
  readonly calls: number;
  /** Whether it has nothing to do at all. */
  readonly isIdle: boolean;
  /** Whether one of its calls names this personal resource. */
  names(resourceId: number): boolean;
  /** Runs one once-call. When the signal aborts, the worker is told, the caller is not kept waiting. */
  exec(request: InferRequest, signal: AbortSignal): Promise<EngineResult>;
  /** Runs several once-calls that the worker computes together. */
  execBatch(batch: readonly BatchCall[]): Promise<PromiseSettledResult<EngineResult>[]>;
  /** Runs one session. Throws ServingError. */
  stream(request: InferRequest, inputs: AsyncIterable<EngineInput>, signal: AbortSignal): AsyncGenerator<EngineResult>;
  /** Has it load a personal resource. Throws ServingError. */
  loadResource(id: number, parts: readonly Part[], signal: AbortSignal): Promise<void>;
  /** Has it unload one. Throws ServingError. */
  unloadResource(id: number, signal: AbortSignal): Promise<void>;
  /** Whether it goes on for too long with a call that nobody waits for any more. */
  isStuck(): boolean;
  /** Asks for a sign of life. */
  ping(): void;
  /** How often it was asked since it last said anything. */
  readonly unansweredPings: number;
  /** Asks it to stop, then terminates it, then kills it. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Kills it, and all that it started, at once. */
  kill(): void;
}

/**
 * Starts a worker process and waits until it is ready. It is led to a Unix socket in a private folder, and must say a
 * secret first, so that nothing else poses as the worker. `onCallEnded` hears of every call that is over, and whether the
 * worker ended it itself.
 *
 * @throws ServingError SERVICE_NOT_READY with the worker's own words when it fails to start, or not in time.
 */
export async function startWorkerProcess(
  options: WorkerOptions,
  signal: AbortSignal,
  onCallEnded: (isAnswered: boolean) => void = () => {},
): Promise<WorkerProcess> {
  const { service } = options;
  const folder = await createSocketFolder();
  const ready = Promise.withResolvers<EngineDescription | undefined>();
  // A rejection that comes while nobody waits yet is not lost: it is awaited below.
  ready.promise.catch(() => {});
  const calls = createCallTable(options, onCallEnded);
  const note = createNotes(options);
  let unansweredPings = 0;
  const onFrame = (frame: Frame): void => {
    unansweredPings = 0;
    if (frame.callId !== 0) calls.onFrame(frame);
    else if (!note(frame)) onOwnFrame(frame, options, ready);
  };
  const { child, channel } = await launch(options, folder, onFrame);
  const ended = Promise.withResolvers<void>();
  let isAlive = true;
  const gone = child.exited.then(async () => {
    isAlive = false;
    ended.resolve();
    const how = endOf(child);
    const early = `the engine of service '${service}' ended before it was ready (${how})`;
    ready.reject(new ServingError("SERVICE_NOT_READY", early));
    calls.fail(new ServingError("ENGINE_CRASHED", `the engine of service '${service}' ended (${how})`));
    signalGroup(child.pid, "SIGKILL");
    channel.close();
    await folder.remove();
  });
  // The id of a process that has ended may be another's by now.
  const end = (how: NodeJS.Signals): void => {
    if (isAlive) signalGroup(child.pid, how);
  };
  const waiting = untilReady(ready.promise, service, options.startTimeoutMs, signal);
  const description = await waiting.catch(async (error: unknown) => {
    end("SIGKILL");
    await gone;
    throw error;
  });
  return {
    pid: child.pid,
    description,
    get isAlive() {
      return isAlive;
    },
    ended: ended.promise,
    gone,
    get calls() {
      return calls.size;
    },
    get isIdle() {
      return calls.isIdle;
    },
    names: calls.names,
    ...callsOf(calls, channel, options, () => isAlive),
    isStuck: calls.isStuck,
    ping() {
      unansweredPings += 1;
      channel.send(encodeFrame(frameKind.ping, 0));
    },
    get unansweredPings() {
      return unansweredPings;
    },
    stop() {
      channel.send(encodeFrame(frameKind.stop, 0));
      return untilGone(gone, end, options.stopGraceMs);
    },
    kill: () => end("SIGKILL"),
  };
}

/** How calls reach a worker. */
function callsOf(
  calls: CallTable,
  channel: WorkerChannel,
  options: WorkerOptions,
  isAlive: () => boolean,
): Pick<WorkerProcess, "exec" | "execBatch" | "stream" | "loadResource" | "unloadResource"> {
  const fits = (pieces: readonly Uint8Array[]): void => assertFits(pieces, options);
  const send: SendFrame = (pieces) => {
    fits(pieces);
    channel.send(pieces);
  };
  const assertAlive = (): void => {
    if (isAlive()) return;
    throw new ServingError("SERVICE_NOT_READY", `the engine of service '${options.service}' has ended`);
  };
  return {
    async exec(request, signal) {
      assertAlive();
      return execCall(calls, send, request, signal);
    },
    async execBatch(batch) {
      assertAlive();
      return execGroup(calls, send, fits, batch);
    },
    stream(request, inputs, signal) {
      assertAlive();
      return runSession(calls, send, request, inputs, signal);
    },
    async loadResource(id, parts, signal) {
      assertAlive();
      return callResource(calls, send, id, parts, signal);
    },
    async unloadResource(id, signal) {
      assertAlive();
      return callResource(calls, send, id, undefined, signal);
    },
  };
}

/** Listens, and spawns the process that is to connect. Leaves nothing behind when that fails. */
async function launch(options: WorkerOptions, folder: SocketFolder, onFrame: (frame: Frame) => void) {
  const { logger, now, service } = options;
  const token = createToken();
  let channel: WorkerChannel | undefined;
  try {
    const listening = listenForWorker(folder.path, token, options.maxFrameBytes, {
      onHello() {
        listening.send(encodeFrame(frameKind.init, 0, writeConfig(options.config)));
        // The connection stands: without its folder nothing is left behind, even if this process is killed.
        void folder.remove();
      },
      onFrame,
      onLost(error) {
        if (error !== undefined) logger.error({ err: error }, "the worker broke the protocol");
        // Without its connection it is of no use, and its calls would wait for ever.
        if (child.exitCode === null && child.signalCode === null) signalGroup(child.pid, "SIGKILL");
      },
    });
    channel = listening;
    const child = spawnWorker(options, folder.path, token);
    void logOutput(child.stdout, logger, "info", now);
    void logOutput(child.stderr, logger, "warn", now);
    return { child, channel };
  } catch (cause) {
    channel?.close();
    await folder.remove();
    throw new ServingError("SERVICE_NOT_READY", `the engine of service '${service}' cannot be started`, { cause });
  }
}

/** Takes in what a worker says about itself. Throws FrameError. */
function onOwnFrame(
  { kind, body }: Frame,
  options: WorkerOptions,
  ready: PromiseWithResolvers<EngineDescription | undefined>,
): void {
  if (kind === frameKind.progress) options.onProgress(readText(body));
  else if (kind === frameKind.ready) ready.resolve(readDescription(body));
  else if (kind === frameKind.failed) {
    ready.reject(new ServingError("SERVICE_NOT_READY", readFailure(body).message));
  }
}

/** Refuses what the worker would take for a breach of the protocol, which would fail every other call of it. */
function assertFits(pieces: readonly Uint8Array[], { service, maxFrameBytes }: WorkerOptions): void {
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (size <= maxFrameBytes) return;
  const message = `the request is larger than the engine of service '${service}' takes (${maxFrameBytes} bytes)`;
  throw new ServingError("PAYLOAD_TOO_LARGE", message);
}
