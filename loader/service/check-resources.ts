import { ServingError } from "../../proto/errors.ts";
import type { EngineResources } from "../engine/engine.ts";

/** The most personal resources that one request may name. */
const maxResourceIds = 64;

/**
 * Checks that the personal resources that a request names are loaded, before it waits for a slot.
 *
 * @throws ServingError RESOURCE_NOT_FOUND for the first that is not, SCHEMA_VIOLATION when there are too many.
 */
export function assertResources(service: string, resources: EngineResources | undefined, ids: readonly number[]): void {
  if (ids.length > maxResourceIds) {
    throw new ServingError("SCHEMA_VIOLATION", `resource_ids: must be at most ${maxResourceIds}, got ${ids.length}`);
  }
  for (const id of ids) {
    if (resources?.find(id) !== undefined) continue;
    throw new ServingError("RESOURCE_NOT_FOUND", `service '${service}' has no personal resource ${id}`);
  }
}
