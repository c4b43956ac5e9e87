import type { Socket } from "bun";
import { ServingError } from "../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";
import { createByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { createFrameParser, encodeFrame, type Frame, frameKind } from "./frames.ts";
import { readRequest, writeFailure, writeResult, writeText } from "./messages.ts";
import { createSocketWriter, type SocketWriter } from "./socket-writer.ts";

/** Answers one request; called once at a time. */
export type WorkerHandler = (request: InferRequest) => Promise<Part[]>;

/** What a worker written for Bun does. */
export interface WorkerDefinition {
  /** Loads the model and warms it up. What it throws is why the service is not ready. */
  readonly init: (
    config: Readonly<Record<string, string>>,
    report: (progress: string) => void,
  ) => Promise<WorkerHandler>;
  /** Where the loader listens, and the secret that it expects: the environment's ATHENA_ENGINE_SOCKET and _TOKEN. */
  readonly socketPath: string;
  readonly token: string;
  readonly maxFrameBytes: number;
}

/**
 * Serves a loader from inside a worker process, one call after the other, until the loader says stop or is gone; then the
 * process ends, so that none outlives its loader.
 */
export async function serveWorker(definition: WorkerDefinition): Promise<void> {
  const parser = createFrameParser(definition.maxFrameBytes);
  /** Calls that wait for their turn; a cancelled one is taken out. */
  const waiting = new Set<number>();
  let handler: WorkerHandler | undefined;
  let last: Promise<void> = Promise.resolve();
  let writer: SocketWriter | undefined;
  const send = (kind: number, callId: number, body?: ByteWriter): void => writer?.send(encodeFrame(kind, callId, body));

  const exec = async ({ callId, body }: Frame): Promise<void> => {
    if (!waiting.delete(callId)) return send(frameKind.done, callId);
    try {
      if (handler === undefined) throw new ServingError("SERVICE_NOT_READY", "the engine is not ready");
      send(frameKind.result, callId, writeResult({ parts: await handler(readRequest(body)), status: Status.ONCE }));
    } catch (thrown) {
      send(frameKind.failed, callId, writeFailure(failureFrom(thrown)));
    }
  };

  const init = async (body: Uint8Array): Promise<void> => {
    try {
      const report = (progress: string): void => send(frameKind.progress, 0, writeText(progress));
      handler = await definition.init(createByteReader(body).map(), report);
      send(frameKind.ready, 0, writeText(""));
    } catch (thrown) {
      send(frameKind.failed, 0, writeFailure(failureFrom(thrown)));
    }
  };

  const onFrame = (frame: Frame): void => {
    if (frame.kind === frameKind.init) last = init(frame.body);
    else if (frame.kind === frameKind.exec) {
      waiting.add(frame.callId);
      last = last.then(() => exec(frame));
    } else if (frame.kind === frameKind.cancel) waiting.delete(frame.callId);
    else if (frame.kind === frameKind.ping) send(frameKind.pong, frame.callId);
    else if (frame.kind === frameKind.stop) process.exit(0);
  };

  await Bun.connect<undefined>({
    unix: definition.socketPath,
    socket: {
      open(socket: Socket<undefined>) {
        writer = createSocketWriter(socket);
        send(frameKind.hello, 0, writeText(definition.token));
      },
      data(_socket, chunk) {
        for (const frame of parser.push(chunk)) onFrame(frame);
      },
      drain: () => writer?.onDrain(),
      close: () => process.exit(0),
      error: () => process.exit(1),
    },
  });
}

function failureFrom(thrown: unknown): ServingError {
  if (thrown instanceof ServingError) return thrown;
  return new ServingError("ENGINE_FAILED", thrown instanceof Error ? thrown.message : String(thrown), {
    cause: thrown,
  });
}
