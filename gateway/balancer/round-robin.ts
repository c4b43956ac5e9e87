import type { Endpoint } from "../types.ts";
import type { Balancer } from "./balancer.ts";

/**
 * Each endpoint in turn, as often as its weight says, and spread out: with weights 3 and 1 the order is a, a, b, a and not
 * a, a, a, b. Every endpoint gains its weight of credit a turn; the richest is picked and pays what all gained.
 */
export function createRoundRobin(): Balancer {
  const credits = new WeakMap<Endpoint, number>();
  return {
    pick(snapshot, { tried }) {
      let picked: Endpoint | undefined;
      let most = Number.NEGATIVE_INFINITY;
      let gained = 0;
      for (const endpoint of snapshot) {
        if (tried.has(endpoint)) continue;
        const credit = (credits.get(endpoint) ?? 0) + endpoint.weight;
        credits.set(endpoint, credit);
        gained += endpoint.weight;
        if (credit > most) {
          most = credit;
          picked = endpoint;
        }
      }
      if (picked !== undefined) credits.set(picked, most - gained);
      return picked;
    },
  };
}
