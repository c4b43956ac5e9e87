import type { BalancingRequest, Endpoint, Snapshot } from "../types.ts";
import type { Balancer } from "./balancer.ts";
import { type HashRing, ownerAt, ringFromSnapshot, startOf } from "./hash-ring.ts";

/**
 * The endpoint whose point follows the key's on a ring, so that a key stays where it is while endpoints come and go. An
 * endpoint that has `maxLoadFactor` times its share of the calls under way is passed over (consistent hashing with bounded
 * loads): one popular key cannot drown its endpoint. Points depend on the endpoints' URLs alone, so every gateway agrees.
 * Requests without a key go where `keyless` says.
 */
export function createConsistentHash(maxLoadFactor: number, keyless: Balancer): Balancer {
  const rings = new WeakMap<Snapshot, HashRing>();
  return {
    pick(snapshot, request) {
      if (request.key === undefined || snapshot.length === 0) return keyless.pick(snapshot, request);
      let ring = rings.get(snapshot);
      if (ring === undefined) {
        ring = ringFromSnapshot(snapshot);
        rings.set(snapshot, ring);
      }
      return walk(ring, startOf(ring, request.key), request, maxLoadFactor);
    },
  };
}

/** The first endpoint clockwise from `start` that is untried and below its bound. */
function walk(ring: HashRing, start: number, { tried }: BalancingRequest, maxLoadFactor: number): Endpoint | undefined {
  let inFlight = 1;
  let weight = 0;
  for (const endpoint of ring.endpoints) {
    inFlight += endpoint.inFlight;
    weight += endpoint.weight;
  }
  const passed = new Set<Endpoint>();
  let firstUntried: Endpoint | undefined;
  for (let i = 0; i < ring.points.length && passed.size < ring.endpoints.length; i += 1) {
    const endpoint = ownerAt(ring, (start + i) % ring.points.length);
    if (endpoint === undefined || passed.has(endpoint)) continue;
    passed.add(endpoint);
    if (tried.has(endpoint)) continue;
    const bound = Math.ceil((maxLoadFactor * inFlight * endpoint.weight) / weight);
    if (endpoint.inFlight < bound) return endpoint;
    firstUntried ??= endpoint;
  }
  // Reached only when every endpoint below its bound was tried already.
  return firstUntried;
}
