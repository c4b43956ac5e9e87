import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { createEndStreamSerialization } from "@connectrpc/connect/protocol-connect";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { createFrameReader, encodeFrame, FrameTooLargeError } from "../../proto/connect-frames.ts";
import { ServingError } from "../../proto/errors.ts";
import {
  type InferResponse,
  type InferStreamRequest,
  InferStreamRequestSchema,
  InferStreamResponseSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { announceHeader, formatLoad, loadHeader } from "../../proto/metadata.ts";
import { timeoutFromHeader } from "./fast-path.ts";
import type { Inference } from "./inference.ts";
import type { Watch } from "./listener.ts";
import { openSession } from "./session-input.ts";

/** The path of the sessions that the fast path answers. */
export const inferStreamPath = "/athena.v1.InferenceService/InferStream";

/** Whether a session has the one shape that gateways send: Connect's stream in protobuf, without compression. */
export function isFastStream({ headers, method }: Request): boolean {
  return (
    headers.get("content-type") === "application/connect+proto" &&
    (headers.get("connect-content-encoding") ?? "identity") === "identity" &&
    method === "POST"
  );
}

/**
 * Answers a session that {@link isFastStream} lets through, as the stock handler would, at a fraction of its cost for each
 * message. Input is read and results are computed as the other side takes them. A caller that vanished is found out by `watch`.
 */
export async function answerFastStream(
  request: Request,
  inference: Inference,
  maxMessageBytes: number,
  watch: Watch,
): Promise<Response> {
  const headers: Record<string, string> = { "content-type": "application/connect+proto" };
  const frames = run(request, inference, maxMessageBytes, headers, watch);
  // The head is complete with the first message, and is sent with it.
  const first = await frames.next();
  return new Response(bodyFrom(first, frames), { headers });
}

type Frames = AsyncGenerator<Uint8Array, void, undefined>;

async function* run(
  request: Request,
  inference: Inference,
  maxBytes: number,
  headers: Record<string, string>,
  watch: Watch,
): Frames {
  using _watched = watch();
  try {
    const isAnnounced = request.headers.has(announceHeader);
    const timeoutMs = timeoutFromHeader(request.headers.get("connect-timeout-ms"));
    const { open, inputs } = await openSession(messagesFrom(request, maxBytes));
    const results = inference.stream(open, inputs, {
      signal: request.signal,
      timeoutMs,
      onLoad: (load) => {
        headers[loadHeader] = formatLoad(load);
      },
    });
    for await (const result of results) {
      if (result !== "open") yield frameFrom(result);
      else if (isAnnounced) yield frameFrom(undefined);
    }
    yield endFrame(undefined);
  } catch (thrown) {
    yield endFrame(connectErrorFrom(thrown));
  }
}

function frameFrom(response: InferResponse | undefined): Uint8Array {
  const message = {
    $typeName: "athena.v1.InferStreamResponse",
    ...(response === undefined ? {} : { response }),
  } as const;
  return encodeFrame(toBinary(InferStreamResponseSchema, message));
}

const ends = createEndStreamSerialization(undefined);

function endFrame(error: ConnectError | undefined): Uint8Array {
  return encodeFrame(ends.serialize({ metadata: new Headers(), ...(error === undefined ? {} : { error }) }), true);
}

function bodyFrom(first: IteratorResult<Uint8Array, void>, frames: Frames): ReadableStream<Uint8Array> {
  let next: IteratorResult<Uint8Array, void> | undefined = first;
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = next ?? (await frames.next());
        next = undefined;
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      // The call's signal has ended what it waits for.
      cancel: () => void frames.return().catch(() => {}),
    },
    { highWaterMark: 0 },
  );
}

async function* messagesFrom({ body }: Request, maxMessageBytes: number): AsyncGenerator<InferStreamRequest> {
  if (body === null) return;
  const reader = createFrameReader(maxMessageBytes);
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await nextChunk(chunks);
      if (done === true) return;
      for (const frame of framesOf(reader, value, maxMessageBytes)) yield decode(frame.body);
    }
  } finally {
    chunks.return?.().catch(() => {});
  }
}

async function nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
  try {
    return await chunks.next();
  } catch (cause) {
    throw new ServingError("CANCELED", "the session was broken off by its caller", { cause });
  }
}

function framesOf(reader: ReturnType<typeof createFrameReader>, chunk: Uint8Array, maxMessageBytes: number) {
  try {
    return reader.push(chunk);
  } catch (cause) {
    if (cause instanceof FrameTooLargeError) {
      const message = `a message of the session is larger than ${maxMessageBytes} bytes`;
      throw new ServingError("PAYLOAD_TOO_LARGE", message, { cause });
    }
    throw new ServingError("MALFORMED_ENVELOPE", "the session is not a stream of Connect's messages", { cause });
  }
}

function decode(bytes: Uint8Array): InferStreamRequest {
  try {
    return fromBinary(InferStreamRequestSchema, bytes);
  } catch (cause) {
    throw new ServingError("MALFORMED_ENVELOPE", "a message is not an InferStreamRequest in protobuf", { cause });
  }
}
