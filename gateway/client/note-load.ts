import type { Load } from "../../proto/metadata.ts";
import type { Endpoint } from "../types.ts";

/**
 * Keeps what a loader stated of its load, if it did.
 *
 * Our own calls are known exactly and change with every request; what a loader stated is as old as its last answer. Only
 * the rest of it, the calls of others, is kept: counting ours twice would keep a loader looking busy for as long as it is
 * avoided.
 */
export function noteLoad(endpoint: Endpoint, load: Load | undefined): void {
  if (load === undefined) return;
  endpoint.load = load;
  endpoint.foreignCalls = Math.max(0, load.total - load.idle + load.queued - endpoint.inFlight);
}
