import type { BatchCall, EngineResult } from "../engine.ts";
import { createByteWriter } from "./byte-writer.ts";
import { type CallTable, execCall, type SendFrame } from "./call.ts";
import { encodeFrame, frameKind } from "./frames.ts";

/**
 * Runs several once-calls that the worker computes together: their EXECs follow one GROUP that says how many they are.
 * `assertFits` throws for a frame that the worker would not take; that call fails alone, and `send` takes the others.
 */
export function execGroup(
  calls: CallTable,
  send: SendFrame,
  assertFits: SendFrame,
  batch: readonly BatchCall[],
): Promise<PromiseSettledResult<EngineResult>[]> {
  const frames: (readonly Uint8Array[])[] = [];
  let isCollecting = true;
  const collect: SendFrame = (pieces) => {
    assertFits(pieces);
    if (isCollecting) frames.push(pieces);
    else send(pieces);
  };
  const outcomes = batch.map(({ request, signal }) => execCall(calls, collect, request, signal));
  isCollecting = false;
  if (frames.length > 1) {
    const count = createByteWriter();
    count.u32(frames.length);
    send(encodeFrame(frameKind.group, 0, count));
  }
  for (const pieces of frames) send(pieces);
  return Promise.allSettled(outcomes);
}
