import { describe, expect, test } from "bun:test";
import { type Reason, ServingError } from "../../proto/errors.ts";
import { createRoundRobin } from "../balancer/round-robin.ts";
import type { Endpoint } from "../types.ts";
import { createPool, type Pool } from "./pool.ts";

const untried = { key: undefined, tried: new Set<Endpoint>() };

function setUp(urls: readonly string[]) {
  const clock = { ms: 0 };
  const pool = createPool({
    service: "echo",
    endpoints: urls.map((url) => ({ url, weight: 1 })),
    balancer: createRoundRobin(),
    outlier: { now: () => clock.ms, random: () => 0, maxEjectedFraction: 1 },
  });
  return { clock, pool };
}

function endpointAt(pool: Pool, url: string): Endpoint {
  const endpoint = pool.endpoints().find((candidate) => candidate.url === url);
  if (endpoint === undefined) throw new Error(`${url} is not a member`);
  return endpoint;
}

/** Makes calls until each of these endpoints has failed once. */
function failOn(pool: Pool, urls: readonly string[], reason: Reason): void {
  const left = new Set(urls);
  const tried = new Set<Endpoint>();
  while (left.size > 0) {
    using lease = pool.acquire({ key: undefined, tried });
    if (lease === undefined) throw new Error("nothing is left to call");
    tried.add(lease.endpoint);
    if (left.delete(lease.endpoint.url)) lease.failed(new ServingError(reason, "failed by the test"));
  }
}

function callableUrls(pool: Pool): string[] {
  return pool.snapshot().map(({ url }) => url);
}

describe("a lease", () => {
  test("counts its call as in flight until it is disposed of, once", () => {
    const { pool } = setUp(["a"]);
    const lease = pool.acquire(untried);
    expect(lease?.endpoint.inFlight).toBe(1);
    lease?.[Symbol.dispose]();
    lease?.[Symbol.dispose]();
    expect(endpointAt(pool, "a").inFlight).toBe(0);
  });

  test("ends when its call throws", () => {
    const { pool } = setUp(["a"]);
    const call = (): never => {
      using _ = pool.acquire(untried);
      throw new Error("the call failed");
    };
    expect(call).toThrow("the call failed");
    expect(endpointAt(pool, "a").inFlight).toBe(0);
  });

  test("is refused when every endpoint was tried", () => {
    const { pool } = setUp(["a", "b"]);
    expect(pool.acquire({ key: undefined, tried: new Set(pool.endpoints()) })).toBeUndefined();
  });
});

describe("a pool", () => {
  test("keeps one snapshot object while nothing changes", () => {
    const { pool } = setUp(["a", "b"]);
    const before = pool.snapshot();
    pool.setHealthy(endpointAt(pool, "a"), true);
    pool.acquire(untried)?.succeeded();
    expect(pool.snapshot()).toBe(before);
  });

  test("leaves out an endpoint that refused a connection until its ejection ends", () => {
    const { pool, clock } = setUp(["a", "b"]);
    failOn(pool, ["a"], "ENDPOINT_UNREACHABLE");
    expect(callableUrls(pool)).toEqual(["b"]);
    expect(pool.members().map(({ state }) => state)).toEqual(["ejected", "ready"]);
    clock.ms = 1000;
    expect(callableUrls(pool)).toEqual(["a", "b"]);
  });

  test("takes an ejected endpoint back as soon as a probe finds it healthy", () => {
    const { pool } = setUp(["a", "b"]);
    failOn(pool, ["a"], "ENDPOINT_UNREACHABLE");
    pool.setHealthy(endpointAt(pool, "a"), true);
    expect(callableUrls(pool)).toEqual(["a", "b"]);
  });

  test("leaves out an endpoint that is unhealthy or draining", () => {
    const { pool } = setUp(["a", "b", "c"]);
    pool.setHealthy(endpointAt(pool, "a"), false);
    pool.setDraining("b", true);
    expect(callableUrls(pool)).toEqual(["c"]);
    expect(pool.members().map(({ state }) => state)).toEqual(["unhealthy", "draining", "ready"]);
    pool.setHealthy(endpointAt(pool, "a"), true);
    pool.setDraining("b", false);
    expect(callableUrls(pool)).toEqual(["a", "b", "c"]);
  });

  test("calls all that are not draining when every one of them is ejected or unhealthy", () => {
    const { pool } = setUp(["a", "b", "c"]);
    pool.setDraining("c", true);
    pool.setHealthy(endpointAt(pool, "a"), false);
    failOn(pool, ["b"], "ENDPOINT_UNREACHABLE");
    expect(callableUrls(pool)).toEqual(["a", "b"]);
    pool.setHealthy(endpointAt(pool, "b"), true);
    expect(callableUrls(pool)).toEqual(["b"]);
  });

  test("calls nothing when everything drains", () => {
    const { pool } = setUp(["a"]);
    pool.setDraining("a", true);
    expect(pool.acquire(untried)).toBeUndefined();
    expect(pool.acquireLastResort(untried)).toBeUndefined();
  });

  test("offers ejected and unhealthy endpoints as a last resort, and takes one back that answers", () => {
    const { pool } = setUp(["a", "b"]);
    pool.setHealthy(endpointAt(pool, "a"), false);
    const tried = new Set([endpointAt(pool, "b")]);
    expect(pool.acquire({ key: undefined, tried })).toBeUndefined();
    using lease = pool.acquireLastResort({ key: undefined, tried });
    expect(lease?.endpoint.url).toBe("a");
    lease?.succeeded();
    expect(callableUrls(pool)).toEqual(["a", "b"]);
  });

  test("does not believe an endpoint healthy for the answer to a call from before it turned unhealthy", () => {
    const { pool, clock } = setUp(["a", "b"]);
    using lease = pool.acquire(untried);
    clock.ms = 5;
    pool.setHealthy(endpointAt(pool, "a"), false);
    lease?.succeeded();
    expect(callableUrls(pool)).toEqual(["b"]);
  });

  test("keeps calls in flight, load and state of the members that stay when others come and go", () => {
    const { pool } = setUp(["a", "b", "c"]);
    const a = endpointAt(pool, "a");
    a.inFlight = 2;
    a.load = { total: 4, best: 4, idle: 2, queued: 0, waitMs: 0 };
    pool.setHealthy(endpointAt(pool, "b"), false);
    pool.setEndpoints([
      { url: "d", weight: 1 },
      { url: "b", weight: 1 },
      { url: "a", weight: 5 },
    ]);
    expect(endpointAt(pool, "a")).toBe(a);
    expect(pool.members().map(({ url, state, weight, inFlight }) => [url, state, weight, inFlight])).toEqual([
      ["d", "ready", 1, 0],
      ["b", "unhealthy", 1, 0],
      ["a", "ready", 5, 2],
    ]);
  });

  test("makes a new snapshot when only a weight changes, since rings depend on weights", () => {
    const { pool } = setUp(["a"]);
    const before = pool.snapshot();
    pool.setEndpoints([{ url: "a", weight: 2 }]);
    expect(pool.snapshot()).not.toBe(before);
  });

  test("ends a call at a removed member without harm", () => {
    const { pool } = setUp(["a"]);
    const lease = pool.acquire(untried);
    const removed = lease?.endpoint;
    pool.setEndpoints([{ url: "b", weight: 1 }]);
    lease?.failed(new ServingError("ENDPOINT_UNREACHABLE", "failed by the test"));
    lease?.[Symbol.dispose]();
    expect(removed?.inFlight).toBe(0);
    expect(callableUrls(pool)).toEqual(["b"]);
  });
});
