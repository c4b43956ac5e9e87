import { ServingError } from "../../proto/errors.ts";
import type { InferRequest, InferStreamRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../../proto/gen/athena/v1/part_pb.ts";
import type { EngineInput } from "../engine/engine.ts";
import { type OrderedInputOptions, orderInput, type Sequenced } from "../scheduler/ordered-input.ts";

/** A session's input, which waits for missing chunks as its service says. */
export type SessionInputs = (ordering: OrderedInputOptions) => AsyncIterable<EngineInput>;

/** A session as its first message opens it, with the chunks that follow in order. */
export interface Session {
  readonly open: InferRequest;
  readonly inputs: SessionInputs;
}

/**
 * Reads a session's first message and gives the rest as it comes.
 *
 * @throws ServingError SCHEMA_VIOLATION when the first message does not open a session.
 */
export async function openSession(messages: AsyncIterable<InferStreamRequest>): Promise<Session> {
  const source = messages[Symbol.asyncIterator]();
  const first = await source.next();
  if (first.done === true || first.value.message.case !== "open") {
    throw new ServingError("SCHEMA_VIOLATION", "the first message of a session must be 'open'");
  }
  const open = first.value.message.value;
  return { open, inputs: (ordering) => inputsFrom(open, source, ordering) };
}

interface Chunk extends Sequenced {
  readonly parts: Part[];
}

async function* inputsFrom(
  open: InferRequest,
  source: AsyncIterator<InferStreamRequest>,
  ordering: OrderedInputOptions,
): AsyncGenerator<EngineInput> {
  async function* chunks(): AsyncGenerator<Chunk> {
    if (open.parts.length > 0) yield { sequence: 1, parts: open.parts, bytes: bytesOf(open.parts) };
    for (;;) {
      const { done, value } = await source.next();
      if (done === true) return;
      if (value.message.case !== "input") {
        throw new ServingError("SCHEMA_VIOLATION", "every message of a session but the first must be 'input'");
      }
      const { sequence, parts } = value.message.value;
      yield { sequence, parts, bytes: bytesOf(parts) };
    }
  }
  const firstSequence = open.parts.length > 0 ? 1 : 2;
  // The last chunk is known only when one says so or when the caller closes its side, so each is held until the next.
  const ended = new Set<string>();
  const seen = new Set<string>();
  let held: Part[] | undefined;
  for await (const { parts } of orderInput(chunks(), firstSequence, ordering)) {
    if (held !== undefined) yield { parts: held, last: false };
    held = undefined;
    if (isLast(parts, seen, ended)) {
      yield { parts, last: true };
      return;
    }
    if (parts.some((part) => part.attributes.status === undefined)) held = parts;
    else yield { parts, last: false };
  }
  yield { parts: held ?? [], last: true };
}

function bytesOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + part.data.length, 0);
}

/** Input is complete when every input that was seen has said so, with the status 2 or 3. */
function isLast(parts: readonly Part[], seen: Set<string>, ended: Set<string>): boolean {
  for (const { name, attributes } of parts) {
    seen.add(name);
    if (attributes.status === "2" || attributes.status === "3") ended.add(name);
  }
  return seen.size > 0 && ended.size === seen.size;
}
