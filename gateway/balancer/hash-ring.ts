import type { Endpoint, Snapshot } from "../types.ts";

/**
 * Points of one unit of weight. The share of an endpoint deviates from its weight by about 1/sqrt(points): 6 % at 256,
 * so that of ten equal endpoints each gets 8 to 12 % of the keys.
 */
const pointsPerWeight = 256;

/** The most points of a ring, 2 MiB of them; a heavier pool halves its density until it fits. */
const maxPoints = 262_144;

// A point is one number: the upper 32 bits are its place on the ring, the lower 21 its owner. So a ring sorts natively,
// and two points at one place have an order that every process agrees on.
const ownerRange = 2 ** 21;

/** Places on a circle of 2^32, each owned by an endpoint. */
export interface HashRing {
  /** The endpoints in the order of their URLs. */
  readonly endpoints: readonly Endpoint[];
  /** Ascending. */
  readonly points: Float64Array;
}

/**
 * Builds the ring of a snapshot. It depends on URLs and weights alone, neither on their order nor on the process:
 * every gateway sends a key to the same endpoint. Taking an endpoint away moves only its own keys.
 */
export function ringFromSnapshot(snapshot: Snapshot): HashRing {
  const endpoints = snapshot.toSorted((a, b) => (a.url < b.url ? -1 : Number(a.url > b.url)));
  const counts = pointCounts(endpoints);
  const points = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  let next = 0;
  for (const [owner, endpoint] of endpoints.entries()) {
    for (const place of placesOf(endpoint, counts[owner] ?? 0)) {
      points[next] = place * ownerRange + owner;
      next += 1;
    }
  }
  return { endpoints, points: points.sort() };
}

/** The index of the first point at or after a key's place, which is where its walk around the ring starts. */
export function startOf(ring: HashRing, key: string): number {
  const target = hash(key) * ownerRange;
  let low = 0;
  let high = ring.points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ring.points[middle] ?? 0) < target) low = middle + 1;
    else high = middle;
  }
  return low === ring.points.length ? 0 : low;
}

/** The endpoint that owns the point at an index of the ring. */
export function ownerAt(ring: HashRing, index: number): Endpoint | undefined {
  return ring.endpoints[(ring.points[index] ?? 0) % ownerRange];
}

function pointCounts(endpoints: Snapshot): number[] {
  let density = pointsPerWeight;
  for (;;) {
    const counts = endpoints.map(({ weight }) => Math.max(1, Math.round(weight * density)));
    // Halving keeps the points that stay where they are: an endpoint's first ones.
    if (density <= 2 ** -12 || counts.reduce((sum, count) => sum + count, 0) <= maxPoints) return counts;
    density /= 2;
  }
}

/** Hashing is most of the work of a ring, and an endpoint comes and goes with its health. */
const knownPlaces = new WeakMap<Endpoint, Float64Array>();

function placesOf(endpoint: Endpoint, count: number): Float64Array {
  const known = knownPlaces.get(endpoint);
  if (known !== undefined && known.length >= count) return known.subarray(0, count);
  const places = Float64Array.from({ length: count }, (_, index) => hash(`${endpoint.url}#${index}`));
  knownPlaces.set(endpoint, places);
  return places;
}

function hash(text: string): number {
  return Number(Bun.hash.xxHash64(text) >> 32n);
}
