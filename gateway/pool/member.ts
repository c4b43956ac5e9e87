import type { Endpoint } from "../types.ts";
import { createEndpoint, type EndpointAddress } from "./endpoint.ts";

/**
 * What an endpoint is to its pool. `ready`: it is called. `ejected`: its calls failed lately. `unhealthy`: its probes
 * fail. `draining`: it is asked to take nothing new.
 */
export type EndpointState = "ready" | "ejected" | "unhealthy" | "draining";

/** One endpoint at one moment, for gauges and the operator's pages. */
export interface MemberView extends Readonly<Endpoint> {
  readonly state: EndpointState;
}

/** An endpoint and what its pool remembers of it. */
export interface Member {
  readonly endpoint: Endpoint;
  /** Since when its probes fail; undefined while they do not. */
  unhealthySince: number | undefined;
  draining: boolean;
}

/** The members for some addresses; one whose URL was a member before stays the same object, with its new weight. */
export function membersFrom(
  addresses: readonly EndpointAddress[],
  before: ReadonlyMap<string, Member>,
): Map<string, Member> {
  return new Map(
    addresses.map(({ url, weight }) => {
      const member = before.get(url) ?? {
        endpoint: createEndpoint(url, weight),
        unhealthySince: undefined,
        draining: false,
      };
      member.endpoint.weight = weight;
      return [url, member];
    }),
  );
}

/** The state of a member; draining outweighs unhealthy, and that outweighs ejected. */
export function stateOf(member: Member, isEjected: (endpoint: Endpoint) => boolean): EndpointState {
  if (member.draining) return "draining";
  if (member.unhealthySince !== undefined) return "unhealthy";
  return isEjected(member.endpoint) ? "ejected" : "ready";
}
