import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { errorTable, isReason, type Reason, ServingError } from "../../proto/errors.ts";
import {
  type InferRequest,
  InferRequestSchema,
  type InferResponse,
  InferResponseSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { createRoundRobin } from "../balancer/round-robin.ts";
import { createPool, type Pool } from "../pool/pool.ts";
import type { Endpoint } from "../types.ts";
import { type DispatchOptions, dispatch } from "./dispatch.ts";
import { createRetryBudget } from "./retry-budget.ts";
import type { CallOptions } from "./unary.ts";

type Infer = (endpoint: Endpoint, request: InferRequest, options: CallOptions) => Promise<InferResponse>;

const request = create(InferRequestSchema, { service: "echo", sid: "s1" });
const clock = { ms: 0 };
const now = (): number => clock.ms;

function poolOf(...urls: readonly string[]): Pool {
  return createPool({
    service: "echo",
    endpoints: urls.map((url) => ({ url, weight: 1 })),
    balancer: createRoundRobin(),
    outlier: { now, random: () => 0 },
  });
}

function optionsWith(infer: Infer, changes: Partial<DispatchOptions> = {}): DispatchOptions {
  return {
    key: undefined,
    deadline: clock.ms + 1000,
    signal: new AbortController().signal,
    budget: createRetryBudget({ now }),
    client: { infer },
    now,
    ...changes,
  };
}

/** A client whose endpoints fail with these reasons and answer with their own URL otherwise. */
function clientWith(reasons: Readonly<Record<string, Reason | ServingError>>) {
  const called: string[] = [];
  const infer: Infer = async ({ url }) => {
    called.push(url);
    const failure = reasons[url];
    if (failure instanceof ServingError) throw failure;
    if (failure !== undefined) throw new ServingError(failure, `${url} failed`);
    return create(InferResponseSchema, { sid: request.sid, service: url });
  };
  return { called, infer };
}

async function reasonOf(answer: Promise<unknown>): Promise<Reason | "answered"> {
  try {
    await answer;
    return "answered";
  } catch (error) {
    return ServingError.from(error).reason;
  }
}

describe("dispatch", () => {
  const elsewhere = Object.keys(errorTable).filter((key) => isReason(key) && errorTable[key].retry === "elsewhere");

  for (const reason of Object.keys(errorTable).filter(isReason)) {
    const triesElsewhere = elsewhere.includes(reason);
    test(`${triesElsewhere ? "tries another endpoint" : "gives up"} after ${reason}`, async () => {
      const { called, infer } = clientWith({ a: reason });
      const outcome = await reasonOf(dispatch(poolOf("a", "b"), request, optionsWith(infer)));
      expect(outcome).toBe(triesElsewhere ? "answered" : reason);
      expect(called).toEqual(triesElsewhere ? ["a", "b"] : ["a"]);
    });
  }

  test("tries each endpoint once", async () => {
    const { called, infer } = clientWith({ a: "ENDPOINT_LOST", b: "ENDPOINT_LOST", c: "ENDPOINT_LOST" });
    await reasonOf(dispatch(poolOf("a", "b", "c"), request, optionsWith(infer)));
    expect(called.toSorted()).toEqual(["a", "b", "c"]);
  });

  test("gives every attempt what is left until the deadline", async () => {
    const timeouts: number[] = [];
    const infer: Infer = async (_, __, { timeoutMs }) => {
      timeouts.push(timeoutMs);
      clock.ms += 300;
      throw new ServingError("ENDPOINT_LOST", "lost");
    };
    await reasonOf(dispatch(poolOf("a", "b", "c"), request, optionsWith(infer)));
    expect(timeouts).toEqual([1000, 700, 400]);
  });

  test("hands the caller's signal and the request itself to every attempt", async () => {
    const { signal } = new AbortController();
    const seen: unknown[] = [];
    const infer: Infer = async (_, sent, options) => {
      seen.push(sent, options.signal);
      throw new ServingError("ENDPOINT_UNREACHABLE", "unreachable");
    };
    await reasonOf(dispatch(poolOf("a", "b"), request, optionsWith(infer, { signal })));
    expect(seen).toEqual([request, signal, request, signal]);
    expect(seen.every((value, index) => value === (index % 2 === 0 ? request : signal))).toBe(true);
  });

  test("stops when the retry budget is spent, except after endpoints that received nothing", async () => {
    const budget = { countRequest: () => {}, tryRetry: () => false };
    const lost = clientWith({ a: "ENDPOINT_LOST" });
    expect(await reasonOf(dispatch(poolOf("a", "b"), request, optionsWith(lost.infer, { budget })))).toBe(
      "ENDPOINT_LOST",
    );
    const unreachable = clientWith({ a: "ENDPOINT_UNREACHABLE" });
    expect(await reasonOf(dispatch(poolOf("a", "b"), request, optionsWith(unreachable.infer, { budget })))).toBe(
      "answered",
    );
  });

  test("does not spend the budget when no endpoint is left to try", async () => {
    let retries = 0;
    const budget = {
      countRequest: () => {},
      tryRetry: () => {
        retries += 1;
        return true;
      },
    };
    const { infer } = clientWith({ a: "ENDPOINT_LOST" });
    await reasonOf(dispatch(poolOf("a"), request, optionsWith(infer, { budget })));
    expect(retries).toBe(0);
  });

  test("says NO_ENDPOINT with the service's name when nothing could be reached", async () => {
    const { infer } = clientWith({ a: "ENDPOINT_UNREACHABLE", b: "ENDPOINT_UNREACHABLE" });
    const answer = dispatch(poolOf("a", "b"), request, optionsWith(infer));
    await expect(answer).rejects.toMatchObject({
      reason: "NO_ENDPOINT",
      message: expect.stringContaining("'echo'"),
      cause: expect.objectContaining({ reason: "ENDPOINT_UNREACHABLE" }),
    });
  });

  test("says busy with the shortest wait when one endpoint is busy, whatever the others are", async () => {
    const { infer } = clientWith({
      a: new ServingError("SERVICE_BUSY", "busy", { retryAfterMs: 900 }),
      b: new ServingError("SERVICE_BUSY", "busy", { retryAfterMs: 200 }),
      c: "ENDPOINT_LOST",
      d: new ServingError("SERVICE_BUSY", "busy"),
    });
    const answer = dispatch(poolOf("a", "b", "c", "d"), request, optionsWith(infer));
    await expect(answer).rejects.toMatchObject({ reason: "SERVICE_BUSY", retryAfterMs: 200 });
  });

  test("tries an endpoint that is out as a last resort, but not when another said busy", async () => {
    const pool = poolOf("a", "b");
    for (const endpoint of pool.endpoints()) if (endpoint.url === "a") pool.setHealthy(endpoint, false);
    const busy = clientWith({ b: "SERVICE_BUSY" });
    expect(await reasonOf(dispatch(pool, request, optionsWith(busy.infer)))).toBe("SERVICE_BUSY");
    expect(busy.called).toEqual(["b"]);
    const lost = clientWith({ b: "ENDPOINT_LOST" });
    expect(await reasonOf(dispatch(pool, request, optionsWith(lost.infer)))).toBe("answered");
    expect(lost.called).toEqual(["b", "a"]);
  });

  test("hides an unknown throw behind INTERNAL and does not try again", async () => {
    const infer: Infer = async () => {
      throw new Error("a defect");
    };
    const pool = poolOf("a", "b");
    await expect(dispatch(pool, request, optionsWith(infer))).rejects.toMatchObject({ reason: "INTERNAL" });
    expect(pool.endpoints().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
  });

  test("stops calling an endpoint after it refused a connection", async () => {
    const pool = poolOf("a", "b");
    const { called, infer } = clientWith({ a: "ENDPOINT_UNREACHABLE" });
    for (let i = 0; i < 10; i += 1) await dispatch(pool, request, optionsWith(infer));
    expect(called.filter((url) => url === "a")).toHaveLength(1);
  });
});

type Outcome = Reason | "answer" | "defect";

/** A client that takes a while and ends as told; it notes whether a call ever ran without a lease of its own. */
function createRandomClient(outcomes: Iterator<Outcome>, delays: Iterator<number>) {
  const underWay = new Map<Endpoint, number>();
  const seen = { callWithoutLease: false };
  const count = (endpoint: Endpoint, change: number): void => {
    underWay.set(endpoint, (underWay.get(endpoint) ?? 0) + change);
    if (endpoint.inFlight < (underWay.get(endpoint) ?? 0)) seen.callWithoutLease = true;
  };
  const infer: Infer = async (endpoint, { sid }) => {
    count(endpoint, 1);
    for (let left = delays.next().value ?? 0; left > 0; left -= 1) await Promise.resolve();
    count(endpoint, -1);
    const outcome: Outcome = outcomes.next().value ?? "answer";
    if (outcome === "answer") return create(InferResponseSchema, { sid });
    throw outcome === "defect" ? new Error("a defect") : new ServingError(outcome, "failed");
  };
  return { infer, seen };
}

describe("leases", () => {
  const outcome = fc.oneof(
    { weight: 2, arbitrary: fc.constant<Outcome>("answer") },
    { weight: 3, arbitrary: fc.constantFrom<Outcome[]>(...Object.keys(errorTable).filter(isReason)) },
    { weight: 1, arbitrary: fc.constant<Outcome>("defect") },
  );

  test("cover their calls and no more: calls in flight are back at zero after any failures", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 30 }),
        fc.infiniteStream(outcome),
        fc.infiniteStream(fc.nat(3)),
        async (endpoints, requests, outcomes, delays) => {
          const pool = poolOf(...Array.from({ length: endpoints }, (_, index) => `e${index}`));
          const { infer, seen } = createRandomClient(outcomes, delays);
          const options = optionsWith(infer);
          const sids = Array.from({ length: requests }, (_, index) => `s${index}`);
          const answers = await Promise.allSettled(
            sids.map((sid) => dispatch(pool, create(InferRequestSchema, { service: "echo", sid }), options)),
          );
          expect(seen.callWithoutLease).toBe(false);
          for (const [index, answer] of answers.entries()) {
            if (answer.status === "fulfilled") expect(answer.value.sid).toBe(sids[index] ?? "");
            else expect(answer.reason).toBeInstanceOf(ServingError);
          }
          expect(pool.endpoints().map(({ inFlight }) => inFlight)).toEqual(Array(endpoints).fill(0));
        },
      ),
      { numRuns: 200 },
    );
  });
});
