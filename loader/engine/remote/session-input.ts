import { ServingError } from "../../../proto/errors.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { EngineInput } from "../engine.ts";
import { untilAborted } from "../until-aborted.ts";
import { joinParts } from "./join-parts.ts";

/** The most bytes of a session's input: a model server takes it as one request. */
const maxInputBytes = 67_108_864;
/** What a chunk costs beside its data, so that a great many small ones are bounded too. */
const chunkBytes = 128;

/**
 * The whole input of a session, the chunks of each part joined.
 *
 * @throws ServingError PAYLOAD_TOO_LARGE, INVALID_INPUT for tensors that do not fit together, or the signal's reason.
 */
export async function wholeInput(inputs: AsyncIterable<EngineInput>, signal: AbortSignal): Promise<Part[]> {
  const chunks: Part[] = [];
  let bytes = 0;
  for await (const { parts, last } of untilAborted(inputs, signal)) {
    for (const part of parts) {
      bytes += part.data.length + chunkBytes;
      if (bytes > maxInputBytes) {
        throw new ServingError("PAYLOAD_TOO_LARGE", `the session's input has more than ${maxInputBytes} bytes`);
      }
      chunks.push(part);
    }
    if (last) break;
  }
  const joined = joinParts(chunks);
  if (joined === undefined)
    throw new ServingError("INVALID_INPUT", "payload: chunks of one tensor must differ in their first size only");
  return joined;
}
