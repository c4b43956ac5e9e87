import type { Endpoint } from "../types.ts";

/** Where an endpoint is and what share it gets, as configuration or discovery tells it. */
export interface EndpointAddress {
  /** A base URL without a closing slash, or `unix:/path`. */
  readonly url: string;
  /** Above 0. */
  readonly weight: number;
}

/** Builds an endpoint that nothing is known of yet. */
export function createEndpoint(url: string, weight: number): Endpoint {
  return { url, weight, inFlight: 0, load: undefined, foreignCalls: 0 };
}
