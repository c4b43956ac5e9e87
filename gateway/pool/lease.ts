import type { ServingError } from "../../proto/errors.ts";
import type { Endpoint } from "../types.ts";

/**
 * The right to one call on one endpoint. The endpoint counts the call as in flight from the lease's creation until it
 * is disposed of; `using` does that however the call ends.
 */
export interface Lease extends Disposable {
  readonly endpoint: Endpoint;
  /** Tells the pool that the endpoint answered well. */
  succeeded(): void;
  /** Tells the pool how the call failed; what was not the endpoint's fault is ignored there. */
  failed(error: ServingError): void;
}

/** What hears of the outcome of a lease's call. */
export interface LeaseObserver {
  succeeded(endpoint: Endpoint, startedAt: number): void;
  failed(endpoint: Endpoint, error: ServingError): void;
}

/** Takes a lease on an endpoint. `startedAt` is on the observer's clock. */
export function createLease(endpoint: Endpoint, startedAt: number, observer: LeaseObserver): Lease {
  let held = true;
  endpoint.inFlight += 1;
  return {
    endpoint,
    succeeded: () => observer.succeeded(endpoint, startedAt),
    failed: (error) => observer.failed(endpoint, error),
    [Symbol.dispose]() {
      if (!held) return;
      held = false;
      endpoint.inFlight -= 1;
    },
  };
}
