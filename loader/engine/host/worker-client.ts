import { rmdirSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import type { Socket } from "bun";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { EngineDescription } from "../engine.ts";
import { createByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { endWithParent } from "./end-with-parent.ts";
import { createFrameParser, encodeFrame, type Frame, frameKind } from "./frames.ts";
import { readRequest, readResource, writeDescription, writeFailure, writeResult, writeText } from "./messages.ts";
import { signalGroup } from "./process-group.ts";
import { createSocketWriter, type SocketWriter } from "./socket-writer.ts";

/** Answers one request; called once at a time. */
export type WorkerHandler = (request: InferRequest) => Promise<Part[]>;

/** Answers several requests together, one outcome for each in their order; called once at a time. */
export type WorkerGroupHandler = (
  requests: readonly InferRequest[],
) => Promise<readonly PromiseSettledResult<Part[]>[]>;

/** Loads one personal resource, or unloads it when there are no parts. */
export type WorkerResourceHandler = (id: number, parts: readonly Part[] | undefined) => Promise<void>;

/** A worker that has started: what answers, and what it tells about its service. */
export interface StartedWorker {
  readonly handle: WorkerHandler;
  /** For a worker whose description has `maxBatchRows`. */
  readonly handleGroup?: WorkerGroupHandler | undefined;
  /** For a worker that takes personal resources; called in turn with the others. */
  readonly handleResource?: WorkerResourceHandler | undefined;
  readonly description?: EngineDescription | undefined;
}

/** What a worker written for Bun does. */
export interface WorkerDefinition {
  /** Loads the model and warms it up. What it throws is why the service is not ready. */
  readonly init: (
    config: Readonly<Record<string, string>>,
    report: (progress: string) => void,
  ) => Promise<StartedWorker>;
  /** Where the loader listens, and the secret that it expects: the environment's ATHENA_ENGINE_SOCKET and _TOKEN. */
  readonly socketPath: string;
  readonly token: string;
  readonly maxFrameBytes: number;
}

/**
 * Serves a loader from inside a worker process, one call after the other, until the loader says stop or is gone; then the
 * process ends, with all that it started, so that none outlives its loader.
 */
export async function serveWorker(definition: WorkerDefinition): Promise<void> {
  endWithParent();
  const parser = createFrameParser(definition.maxFrameBytes);
  let writer: SocketWriter | undefined;
  const onFrame = createFrameHandler(definition, (pieces) => writer?.send(pieces));
  const connecting = Bun.connect<undefined>({
    unix: definition.socketPath,
    socket: {
      open(socket: Socket<undefined>) {
        writer = createSocketWriter(socket);
        writer.send(encodeFrame(frameKind.hello, 0, writeText(definition.token)));
      },
      data(_socket, chunk) {
        for (const frame of parser.push(chunk)) onFrame(frame);
      },
      drain: () => writer?.onDrain(),
      close: endGroup,
      // What a handler throws comes here: bytes that are no frame.
      error(_socket, error) {
        print(error);
        process.exit(1);
      },
    },
  });
  await connecting.catch((error: unknown) => {
    print(error);
    removeSocket(definition.socketPath);
    process.exit(1);
  });
}

/**
 * What the worker does with each frame. Calls, and groups of calls, run one after the other; those that are cancelled before
 * their turn do not.
 */
function createFrameHandler(
  { init, maxFrameBytes }: WorkerDefinition,
  sendPieces: (pieces: readonly Uint8Array[]) => void,
): (frame: Frame) => void {
  const waiting = new Set<number>();
  let worker: StartedWorker | undefined;
  let last: Promise<void> = Promise.resolve();
  let group: { readonly size: number; readonly frames: Frame[] } | undefined;
  /** Of the calls that are computed together now, those that somebody waits for. */
  let computing = new Set<number>();
  const { send, fail, answer } = createReplies(sendPieces, maxFrameBytes);

  const run = async (frames: readonly Frame[]): Promise<void> => {
    const begun: Frame[] = [];
    for (const frame of frames) {
      if (waiting.delete(frame.callId)) begun.push(frame);
      else send(frameKind.done, frame.callId);
    }
    computing = new Set(begun.map(({ callId }) => callId));
    const outcomes = await outcomesOf(worker, begun);
    for (const [index, { callId }] of begun.entries()) {
      if (!computing.has(callId)) continue;
      try {
        answer(callId, partsOf(outcomes[index]));
      } catch (thrown) {
        fail(callId, thrown);
      }
    }
    computing.clear();
  };

  const start = async (body: Uint8Array): Promise<void> => {
    try {
      const report = (progress: string): void => send(frameKind.progress, 0, writeText(progress));
      worker = await init(createByteReader(body).map(), report);
      send(frameKind.ready, 0, writeDescription(worker.description));
    } catch (thrown) {
      fail(0, thrown);
    }
  };

  const exec = (frame: Frame): void => {
    waiting.add(frame.callId);
    group?.frames.push(frame);
    if (group !== undefined && group.frames.length < group.size) return;
    const frames = group?.frames ?? [frame];
    group = undefined;
    last = last.then(() => run(frames));
  };

  /** One that is computed with others ends at once: what goes on for them is no reason to end this process. */
  const cancel = (callId: number): void => {
    waiting.delete(callId);
    if (computing.size > 1 && computing.delete(callId)) send(frameKind.done, callId);
  };

  const resource = async ({ kind, callId, body }: Frame): Promise<void> => {
    try {
      if (worker?.handleResource === undefined) {
        throw new ServingError("UNSUPPORTED_OPERATION", "the engine takes no personal resources");
      }
      const { id, parts } = readResource(body);
      await worker.handleResource(id, kind === frameKind.loadResource ? parts : undefined);
      send(frameKind.done, callId);
    } catch (thrown) {
      fail(callId, thrown);
    }
  };

  return (frame) => {
    if (frame.kind === frameKind.init) last = start(frame.body);
    else if (frame.kind === frameKind.group) group = { size: createByteReader(frame.body).u32(), frames: [] };
    else if (frame.kind === frameKind.exec) exec(frame);
    else if (frame.kind === frameKind.loadResource || frame.kind === frameKind.unloadResource)
      last = last.then(() => resource(frame));
    else if (frame.kind === frameKind.cancel) cancel(frame.callId);
    else if (frame.kind === frameKind.ping) send(frameKind.pong, frame.callId);
    else if (frame.kind === frameKind.stop) process.exit(0);
  };
}

/** What a worker says about its calls. */
function createReplies(sendPieces: (pieces: readonly Uint8Array[]) => void, maxFrameBytes: number) {
  const send = (kind: number, callId: number, body?: ByteWriter): void => sendPieces(encodeFrame(kind, callId, body));
  const fail = (callId: number, thrown: unknown): void => {
    if (!(thrown instanceof ServingError) || thrown.cause !== undefined) print(thrown);
    send(frameKind.failed, callId, writeFailure(failureFrom(thrown)));
  };
  const answer = (callId: number, parts: Part[]): void => {
    const pieces = encodeFrame(frameKind.result, callId, writeResult({ parts, status: Status.ONCE }));
    // The loader takes a larger one for a breach of the protocol, and ends this process.
    if (pieces.reduce((sum, piece) => sum + piece.length, 0) > maxFrameBytes) {
      throw new ServingError("ENGINE_FAILED", `the engine's answer is larger than ${maxFrameBytes} bytes`);
    }
    sendPieces(pieces);
  };
  return { send, fail, answer };
}

/** Computes one call or several together. Never rejects. */
async function outcomesOf(
  worker: StartedWorker | undefined,
  frames: readonly Frame[],
): Promise<readonly PromiseSettledResult<Part[]>[]> {
  const compute = async (): Promise<readonly PromiseSettledResult<Part[]>[]> => {
    if (worker === undefined) throw new ServingError("SERVICE_NOT_READY", "the engine is not ready");
    const { handle, handleGroup } = worker;
    const requests = frames.map(({ body }) => readRequest(body));
    if (requests.length > 1 && handleGroup !== undefined) return handleGroup(requests);
    const outcomes: PromiseSettledResult<Part[]>[] = [];
    for (const request of requests) outcomes.push(...(await Promise.allSettled([handle(request)])));
    return outcomes;
  };
  const [computed] = await Promise.allSettled([compute()]);
  return computed.status === "fulfilled" ? computed.value : frames.map(() => computed);
}

function partsOf(outcome: PromiseSettledResult<Part[]> | undefined): Part[] {
  if (outcome?.status === "fulfilled") return outcome.value;
  throw outcome?.reason ?? new ServingError("ENGINE_FAILED", "the engine gave no answer for one call of a batch");
}

/** The loader is gone: nobody else would end what this process started. */
function endGroup(): void {
  signalGroup(process.pid, "SIGKILL");
  // Not the leader of a group: it was started by hand.
  process.exit(0);
}

/** The loader died before it could remove the socket and the folder that it made for this worker alone. */
function removeSocket(path: string): void {
  try {
    unlinkSync(path);
    rmdirSync(dirname(path));
  } catch {
    // Already gone, or never there.
  }
}

/** Prints what went wrong, whole: the loader makes it log lines, and the caller is told less. */
function print(thrown: unknown): void {
  process.stderr.write(`${Bun.inspect(thrown)}\n`);
}

function failureFrom(thrown: unknown): ServingError {
  if (thrown instanceof ServingError) return thrown;
  return new ServingError("ENGINE_FAILED", thrown instanceof Error ? thrown.message : String(thrown), {
    cause: thrown,
  });
}
