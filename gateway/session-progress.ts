import { ServingError } from "../proto/errors.ts";
import { type InferResponse, type InferStreamResponse, Status } from "../proto/gen/athena/v1/inference_pb.ts";
import type { SessionEvent } from "./session-pipeline.ts";
import type { Place } from "./types.ts";

/** Statuses count from 0 in the unified protocol, where 0 is "unset" in protobuf. */
function placeFromStatus(status: Status): Place {
  switch (status) {
    case Status.BEGIN:
      return 0;
    case Status.END:
      return 2;
    case Status.ONCE:
      return 3;
    default:
      return 1;
  }
}

/** How far a session has come. */
export interface Progress<Answer> {
  /** Whether a loader has taken it. */
  readonly isOpened: boolean;
  /** Whether its last result was given. */
  readonly isComplete: boolean;
  /** The event that a message is; undefined for one behind the last result. */
  advance(response: InferResponse | undefined): SessionEvent<Answer> | undefined;
  /** The last result, for an engine that ended without one: callers wait for it. */
  complete(sid: string): SessionEvent<Answer>;
}

/** Begins to follow a session. */
export function createProgress<Answer>(encode: (response: InferResponse, status: Place) => Answer): Progress<Answer> {
  let isOpened = false;
  let isComplete = false;
  return {
    get isOpened() {
      return isOpened;
    },
    get isComplete() {
      return isComplete;
    },
    advance(response) {
      if (isComplete) return undefined;
      if (response === undefined) {
        isOpened = true;
        return { type: "opened" };
      }
      const status = placeFromStatus(response.status);
      isComplete = status >= 2;
      return { type: "result", status, answer: encode(response, status) };
    },
    complete(sid) {
      isComplete = true;
      const end = { sid, status: Status.END, parts: [], service: "", version: "", queueUs: 0, computeUs: 0 };
      return { type: "result", status: 2, answer: encode({ $typeName: "athena.v1.InferResponse", ...end }, 2) };
    },
  };
}

/** A session's messages as its events, the last result among them. */
export async function* eventsFrom<Answer>(
  messages: AsyncIterable<Pick<InferStreamResponse, "response">>,
  progress: Progress<Answer>,
  sid: string,
): AsyncGenerator<SessionEvent<Answer>> {
  for await (const { response } of messages) {
    const event = progress.advance(response);
    if (event !== undefined) yield event;
  }
  if (!progress.isComplete) yield progress.complete(sid);
}

/** What a session that threw ended with; undefined when its caller had the whole answer before. */
export function endFrom(
  thrown: unknown,
  signal: AbortSignal,
  progress: Progress<unknown> | undefined,
): ServingError | undefined {
  if (progress?.isComplete) return undefined;
  const error = ServingError.from(signal.aborted ? signal.reason : thrown);
  // A loader's own limit on the session's length.
  if (error.reason !== "DEADLINE_EXCEEDED" || !progress?.isOpened) return error;
  return new ServingError("SESSION_TIMEOUT", `session timeout: ${error.message}`, { cause: error });
}
