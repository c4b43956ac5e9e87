import type { ModelInferRequest } from "../../../proto/gen/inference/grpc_service_pb.ts";
import type { Place, SessionFrame, TensorRequest } from "../../types.ts";
import { createInbox, type InboxLimits } from "../websocket/inbox.ts";
import { decodeSequenceRequest } from "./grpc-request.ts";
import type { SequencePlace } from "./parameters.ts";

/** The requests of one sequence, on their way to its session. */
export interface SequenceInput {
  /** Read once, by the session. */
  readonly frames: AsyncIterable<SessionFrame<TensorRequest>>;
  /** Adds a request; false when too many bytes wait already. */
  push(request: ModelInferRequest, place: SequencePlace): boolean;
  /** The id for the next answer: that of the first request that was read and not answered, or else of the last one. */
  nextId(): string;
  /** The id of the request that was read last, which an error is about. */
  lastId(): string;
}

/** Answers may be fewer than requests: ids beyond these are forgotten, the oldest first. */
const maxIds = 4096;

/** Builds the input of one sequence, without a request. */
export function createSequenceInput(limits: InboxLimits): SequenceInput {
  const inbox = createInbox<ModelInferRequest>(limits);
  const ids: string[] = [];
  let last = "";
  const decoded = ({ envelope, ...frame }: SessionFrame<ModelInferRequest>): SessionFrame<TensorRequest> => {
    last = envelope.id;
    ids.push(last);
    if (ids.length > maxIds) ids.shift();
    return { ...frame, envelope: decodeSequenceRequest(envelope) };
  };
  // No generator: one that waits for a request could not be left.
  const open = (
    source: AsyncIterator<SessionFrame<ModelInferRequest>>,
  ): AsyncIterator<SessionFrame<TensorRequest>> => ({
    async next() {
      const { done, value } = await source.next();
      return done === true ? { done, value: undefined } : { done: false, value: decoded(value) };
    },
    async return() {
      await source.return?.();
      return { done: true, value: undefined };
    },
  });
  return {
    frames: { [Symbol.asyncIterator]: () => open(inbox[Symbol.asyncIterator]()) },
    push(request, place) {
      const isTaken = inbox.push({ envelope: request, place: frameFrom(place) }, bytesOf(request));
      if (place.isEnd) inbox.end();
      return isTaken;
    },
    nextId: () => (ids.length > 1 ? ids.shift() : ids[0]) ?? last,
    lastId: () => last,
  };
}

/** Engines look for it in a request's inputs. A sequence of one request is a session that has all of its input at once. */
function frameFrom({ isStart, isEnd }: SequencePlace): Place | undefined {
  if (isStart) return isEnd ? undefined : 0;
  return isEnd ? 2 : 1;
}

function bytesOf({ inputs, rawInputContents }: ModelInferRequest): number {
  const raw = rawInputContents.reduce((sum, { length }) => sum + length, 0);
  return inputs.reduce((sum, { contents }) => sum + (contents === undefined ? 0 : bytesOfContents(contents)), raw);
}

function bytesOfContents(contents: NonNullable<ModelInferRequest["inputs"][number]["contents"]>): number {
  const { bytesContents, boolContents, intContents, uintContents, int64Contents, uint64Contents } = contents;
  const numbers = [boolContents, intContents, uintContents, int64Contents, uint64Contents];
  const floats = contents.fp32Contents.length + contents.fp64Contents.length;
  const bytes = bytesContents.reduce((sum, { length }) => sum + length, 0);
  // What an element takes in memory, about.
  return bytes + 8 * numbers.reduce((sum, { length }) => sum + length, floats);
}
