import { ServingError } from "../../../proto/errors.ts";
import type { Part } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { CallTable, SendFrame } from "./call.ts";
import { encodeFrame, frameKind } from "./frames.ts";
import { writeResource } from "./messages.ts";

/**
 * Has a worker load a personal resource, or unload it when there are no parts. Workers do so one after the other, in the
 * order in which they are asked. When the signal aborts nobody waits any more, and whether the worker still does it is open.
 */
export function callResource(
  calls: CallTable,
  send: SendFrame,
  id: number,
  parts: readonly Part[] | undefined,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(ServingError.from(signal.reason));
      return;
    }
    const onAbort = (): void => {
      calls.cancel(callId);
      send(encodeFrame(frameKind.cancel, callId));
      reject(ServingError.from(signal.reason));
    };
    const callId = calls.open(
      {
        onResult() {},
        onEnd(error) {
          signal.removeEventListener("abort", onAbort);
          if (error === undefined) resolve();
          else reject(error);
        },
      },
      "resource",
    );
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const kind = parts === undefined ? frameKind.unloadResource : frameKind.loadResource;
      send(encodeFrame(kind, callId, writeResource(id, parts)));
    } catch (error) {
      signal.removeEventListener("abort", onAbort);
      calls.discard(callId);
      reject(ServingError.from(error));
    }
  });
}
