import type { Endpoint } from "../types.ts";
import type { Balancer } from "./balancer.ts";

/**
 * The less busy of two endpoints drawn by weight. Two draws get most of what looking at every endpoint would, and several
 * gateways whose knowledge is a moment old do not all rush to the one that looks best.
 */
export function createLeastLoad(random: () => number): Balancer {
  return {
    pick(snapshot, { tried }) {
      const candidates = tried.size === 0 ? snapshot : snapshot.filter((endpoint) => !tried.has(endpoint));
      if (candidates.length < 2) return candidates[0];
      const first = draw(candidates, undefined, random);
      const second = draw(candidates, first, random);
      if (first === undefined || second === undefined) return first ?? second;
      return busyness(second) < busyness(first) ? second : first;
    },
  };
}

/** One endpoint, each as likely as its weight says, leaving one out. */
function draw(
  candidates: readonly Endpoint[],
  except: Endpoint | undefined,
  random: () => number,
): Endpoint | undefined {
  let total = 0;
  for (const endpoint of candidates) if (endpoint !== except) total += endpoint.weight;
  let rest = random() * total;
  let last: Endpoint | undefined;
  for (const endpoint of candidates) {
    if (endpoint === except) continue;
    last = endpoint;
    rest -= endpoint.weight;
    if (rest < 0) return endpoint;
  }
  return last;
}

/** Calls for each unit of capacity: our own, which are exact, and those of other gateways, as the loader stated last. */
function busyness({ load, inFlight, foreignCalls, weight }: Endpoint): number {
  if (load === undefined || load.total === 0) return inFlight / weight;
  return (inFlight + foreignCalls) / load.total;
}
