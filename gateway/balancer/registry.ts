import type { Balancer } from "./balancer.ts";
import { createConsistentHash } from "./consistent-hash.ts";
import { createLeastLoad } from "./least-load.ts";
import { createRoundRobin } from "./round-robin.ts";

/** Which balancer, and what it is tuned by. */
export type BalancerConfig =
  | { readonly kind: "round-robin" }
  | { readonly kind: "least-load" }
  | { readonly kind: "consistent-hash"; readonly maxLoadFactor: number };

/** Builds the balancer of a service. `random` gives numbers from 0 to below 1. */
export function createBalancer(config: BalancerConfig, random: () => number): Balancer {
  switch (config.kind) {
    case "round-robin":
      return createRoundRobin();
    case "least-load":
      return createLeastLoad(random);
    case "consistent-hash":
      return createConsistentHash(config.maxLoadFactor, createLeastLoad(random));
  }
}
