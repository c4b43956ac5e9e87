import type { Balancer } from "../balancer/balancer.ts";
import type { BalancingRequest, Endpoint, Snapshot } from "../types.ts";
import type { EndpointAddress } from "./endpoint.ts";
import { createLease, type Lease, type LeaseObserver } from "./lease.ts";
import { type Member, type MemberView, membersFrom, stateOf } from "./member.ts";
import { createOutlierDetector, type OutlierDetector, type OutlierOptions } from "./outlier.ts";

/** The loaders of one service. */
export interface Pool {
  readonly service: string;
  /** A lease on a callable endpoint that the request has not tried; undefined when there is none left. */
  acquire(request: BalancingRequest): Lease | undefined;
  /**
   * The same among all that are not draining, for a request that no callable endpoint could serve: an endpoint that
   * was ejected or found unhealthy may be back, and its next probe not yet due.
   */
  acquireLastResort(request: BalancingRequest): Lease | undefined;
  /** The endpoints that are called now. The array stays the same object until they or their weights change. */
  snapshot(): Snapshot;
  /** Every endpoint, callable or not. */
  endpoints(): readonly Endpoint[];
  /** Every endpoint with its state. */
  members(): readonly MemberView[];
  /**
   * Replaces the members. Those whose URL stays keep their state, their calls in flight and their load, with the new
   * weight; calls at one that is removed run to their end. Of one URL given twice the last counts.
   */
  setEndpoints(addresses: readonly EndpointAddress[]): void;
  /** Leaves the choice of endpoints to another balancer from now on. */
  setBalancer(balancer: Balancer): void;
  /** What a probe found. A healthy endpoint also returns from its ejection. Ignored for one that is no member. */
  setHealthy(endpoint: Endpoint, healthy: boolean): void;
  /** Takes an endpoint out, or back in, whatever its health; a draining one is not called even when all others fail. */
  setDraining(url: string, draining: boolean): void;
}

/** What {@link createPool} builds a pool from. */
export interface PoolOptions {
  readonly service: string;
  readonly endpoints: readonly EndpointAddress[];
  readonly balancer: Balancer;
  readonly outlier: OutlierOptions;
}

/**
 * Builds the pool of one service. An endpoint is callable as soon as it is a member, before its first probe. When every
 * endpoint that is not draining is ejected or unhealthy, all of them are callable: a guess that proves wrong costs one
 * failed attempt, and refusing outright could not do better.
 */
export function createPool({ service, endpoints, outlier: outlierOptions, ...options }: PoolOptions): Pool {
  let { balancer } = options;
  const { now } = outlierOptions;
  const outlier = createOutlierDetector(outlierOptions);
  const members = new Map<string, Member>();
  const snapshots = createSnapshots(members, outlier, now);

  const memberOf = (endpoint: Endpoint): Member | undefined => {
    const member = members.get(endpoint.url);
    return member?.endpoint === endpoint ? member : undefined;
  };
  const setHealthy = (endpoint: Endpoint, healthy: boolean): void => {
    const member = memberOf(endpoint);
    if (member === undefined) return;
    if (healthy) outlier.readmit(endpoint);
    member.unhealthySince = healthy ? undefined : (member.unhealthySince ?? now());
    snapshots.invalidate();
  };
  const observer: LeaseObserver = {
    succeeded(endpoint, startedAt) {
      outlier.succeeded(endpoint, startedAt);
      // A call from before says nothing about whether new ones get through.
      if (startedAt >= (memberOf(endpoint)?.unhealthySince ?? Number.POSITIVE_INFINITY)) setHealthy(endpoint, true);
    },
    failed(endpoint, error) {
      if (memberOf(endpoint) !== undefined) outlier.failed(endpoint, error.reason, members.size);
    },
  };
  const lease = (snapshot: Snapshot, request: BalancingRequest): Lease | undefined => {
    const endpoint = balancer.pick(snapshot, request);
    return endpoint === undefined ? undefined : createLease(endpoint, now(), observer);
  };
  const setEndpoints = (addresses: readonly EndpointAddress[]): void => {
    const next = membersFrom(addresses, members);
    for (const [url, { endpoint }] of members) if (!next.has(url)) outlier.forget(endpoint);
    members.clear();
    for (const [url, member] of next) members.set(url, member);
    snapshots.reset();
  };
  setEndpoints(endpoints);

  return {
    service,
    acquire: (request) => lease(snapshots.callable(), request),
    acquireLastResort: (request) => lease(snapshots.notDraining(), request),
    snapshot: snapshots.callable,
    endpoints: () => [...members.values()].map(({ endpoint }) => endpoint),
    members: () => [...members.values()].map((m) => ({ ...m.endpoint, state: stateOf(m, outlier.isEjected) })),
    setEndpoints,
    setBalancer(next) {
      balancer = next;
    },
    setHealthy,
    setDraining(url, draining) {
      const member = members.get(url);
      if (member !== undefined) member.draining = draining;
      snapshots.invalidate();
    },
  };
}

/** What a request may choose from. Recomputed only after a change, since it is asked for on every call. */
function createSnapshots(members: ReadonlyMap<string, Member>, outlier: OutlierDetector, now: () => number) {
  let callable: Snapshot = [];
  let notDraining: Snapshot = [];
  let isStale = true;
  let seenVersion = -1;
  let readmissionAt = Number.POSITIVE_INFINITY;

  const refresh = (): void => {
    if (!isStale && seenVersion === outlier.version && now() < readmissionAt) return;
    isStale = false;
    seenVersion = outlier.version;
    readmissionAt = outlier.nextReadmission();
    const usable = [...members.values()].filter(({ draining }) => !draining);
    const ready = usable.filter((member) => stateOf(member, outlier.isEjected) === "ready");
    notDraining = keepIfSame(notDraining, usable);
    callable = ready.length === 0 ? notDraining : keepIfSame(callable, ready);
  };

  return {
    callable(): Snapshot {
      refresh();
      return callable;
    },
    notDraining(): Snapshot {
      refresh();
      return notDraining;
    },
    invalidate(): void {
      isStale = true;
    },
    /** Forgets the arrays too: weights may have changed where members did not, and rings depend on both. */
    reset(): void {
      isStale = true;
      callable = [];
      notDraining = [];
    },
  };
}

function keepIfSame(before: Snapshot, members: readonly Member[]): Snapshot {
  const isSame = before.length === members.length && members.every(({ endpoint }, index) => endpoint === before[index]);
  return isSame ? before : members.map(({ endpoint }) => endpoint);
}
