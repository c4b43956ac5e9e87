import type { BalancingRequest, Endpoint, Snapshot } from "../types.ts";

/** Chooses the endpoint of a request. */
export interface Balancer {
  /**
   * One endpoint of the snapshot that the request has not tried; undefined when it has tried every one. Depends on the
   * arguments, the random source and the balancer's own cursor alone.
   */
  pick(snapshot: Snapshot, request: BalancingRequest): Endpoint | undefined;
}
