import { ServingError } from "../../../proto/errors.ts";
import type { LoadedResource, ResourceLimits } from "../engine.ts";

/** How much room there is for personal resources. */
export interface ResourceRoom {
  /**
   * Holds room for a resource until it is disposed of; one that is loaded under its id does not count. Throws ServingError
   * PAYLOAD_TOO_LARGE for one that is too large by itself, SERVICE_BUSY when there is no room left.
   */
  reserve(id: number, bytes: number): Disposable;
}

/** Builds the room beside what is loaded. */
export function createResourceRoom(
  loaded: ReadonlyMap<number, LoadedResource>,
  { service, maxCount, maxBytes }: ResourceLimits & { readonly service: string },
): ResourceRoom {
  let reservedCount = 0;
  let reservedBytes = 0;
  return {
    reserve(id, bytes) {
      if (bytes > maxBytes) {
        const message = `personal resource ${id} has ${bytes} bytes, more than service '${service}' takes (${maxBytes})`;
        throw new ServingError("PAYLOAD_TOO_LARGE", message);
      }
      const others = [...loaded.values()].filter((resource) => resource.id !== id);
      const count = others.length + reservedCount;
      const otherBytes = others.reduce((sum, resource) => sum + resource.bytes, reservedBytes);
      if (count >= maxCount || otherBytes + bytes > maxBytes) {
        const message = `service '${service}' has no room for personal resource ${id}: it has ${count} of ${maxCount}, with ${otherBytes} of ${maxBytes} bytes`;
        throw new ServingError("SERVICE_BUSY", message);
      }
      reservedCount += 1;
      reservedBytes += bytes;
      return {
        [Symbol.dispose]() {
          reservedCount -= 1;
          reservedBytes -= bytes;
        },
      };
    },
  };
}
