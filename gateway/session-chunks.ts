import type { StreamInput } from "../proto/gen/athena/v1/inference_pb.ts";
import type { Part } from "../proto/gen/athena/v1/part_pb.ts";
import type { Place, SessionFrame } from "./types.ts";

/** What happens to a session's frames after the first. */
export interface ChunkStages<Request> {
  readonly validate: (envelope: Request) => Part[];
  /** Charges a chunk to its caller. Throws ServingError RATE_LIMITED. */
  readonly admit: (parts: readonly Part[]) => void | Promise<void>;
  /** Told of each frame when it is read. */
  readonly onFrame: () => void;
  /** Told when no more will be read. */
  readonly onEnd: () => void;
}

/** What the first frame said. */
export interface Opening {
  readonly opening: readonly Part[];
  readonly place: Place | undefined;
}

/**
 * A session's frames after the first as chunks for a loader, each read when it is asked for. They end with the frames, with
 * one whose place is 2 or 3, or when every input that was seen has said of itself that it ends; nothing is read after
 * that. Throws what `validate`, `admit` and the frames throw.
 */
export async function* chunksFrom<Request>(
  frames: AsyncIterator<SessionFrame<Request>>,
  { opening, place }: Opening,
  stages: ChunkStages<Request>,
): AsyncGenerator<StreamInput> {
  const seen = new Set<string>();
  const ended = new Set<string>();
  let isLast = isEnd(opening, place, seen, ended);
  while (!isLast) {
    const { done, value } = await frames.next();
    if (done === true) break;
    stages.onFrame();
    const parts = stages.validate(value.envelope);
    const charged = stages.admit(parts);
    if (charged !== undefined) await charged;
    withPlace(parts, value.place);
    isLast = isEnd(parts, value.place, seen, ended);
    if (isLast) stages.onEnd();
    // A frame without data is a sign of life; a numbered one is missed by those that count.
    if (parts.length === 0 && value.sequence === undefined) continue;
    yield { $typeName: "athena.v1.StreamInput", sequence: value.sequence ?? 0, parts };
  }
  stages.onEnd();
}

/** Writes the place of a frame into its parts, for those that do not say their own: engines look for it there. */
export function withPlace(parts: readonly Part[], place: Place | undefined): void {
  if (place === undefined) return;
  for (const { attributes } of parts) if ((attributes.status ?? "") === "") attributes.status = String(place);
}

function isEnd(parts: readonly Part[], place: Place | undefined, seen: Set<string>, ended: Set<string>): boolean {
  for (const { name, attributes } of parts) {
    seen.add(name);
    if (attributes.status === "2" || attributes.status === "3") ended.add(name);
  }
  return place === 2 || place === 3 || (seen.size > 0 && ended.size === seen.size);
}
