import { ServingError } from "../../proto/errors.ts";
import type { InferRequest, InferResponse } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Lease } from "../pool/lease.ts";
import type { BalancingRequest, Endpoint } from "../types.ts";
import type { LoaderClient } from "./loader-client.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** The part of a pool that dispatching needs. */
export interface LeaseSource {
  readonly service: string;
  acquire(request: BalancingRequest): Lease | undefined;
  acquireLastResort(request: BalancingRequest): Lease | undefined;
}

/** What {@link dispatch} is bounded by and works with. */
export interface DispatchOptions {
  /** Requests with one key go to one endpoint where the balancer knows keys; undefined: none. */
  readonly key: string | undefined;
  /** On the clock of `now`; all attempts together end by then. */
  readonly deadline: number;
  /** Aborts when the caller hangs up. */
  readonly signal: AbortSignal;
  readonly budget: RetryBudget;
  readonly client: Pick<LoaderClient, "infer">;
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
}

/**
 * Answers one once-request: leases an endpoint, calls it, and after an error whose class says `elsewhere` does so again
 * on one that was not tried, within the deadline and the retry budget.
 *
 * A call whose connection broke may have been run, and is tried elsewhere all the same: inference computes an answer
 * from its input and changes nothing, so running it twice costs time only. An engine that ended with the request
 * inside it is another reason (ENGINE_CRASHED) and is never tried again.
 *
 * Throws ServingError. When no endpoint is left it is the most telling error that they gave, or NO_ENDPOINT.
 */
export async function dispatch(
  pool: LeaseSource,
  request: InferRequest,
  options: DispatchOptions,
): Promise<InferResponse> {
  const { deadline, signal, budget, client, now } = options;
  const tried = new Set<Endpoint>();
  const failures: ServingError[] = [];
  budget.countRequest();
  for (;;) {
    using lease = acquire(pool, { key: options.key, tried }, failures);
    if (lease === undefined || !mayTry(failures, budget)) throw lastWord(pool.service, failures);
    tried.add(lease.endpoint);
    try {
      const response = await client.infer(lease.endpoint, request, { signal, timeoutMs: deadline - now() });
      lease.succeeded();
      return response;
    } catch (thrown) {
      const error = ServingError.from(thrown);
      lease.failed(error);
      if (error.class.retry !== "elsewhere") throw error;
      failures.push(error);
    }
  }
}

function acquire(pool: LeaseSource, request: BalancingRequest, failures: readonly ServingError[]): Lease | undefined {
  const lease = pool.acquire(request);
  // Being told to come back later is an answer; waiting for an endpoint that may hang is not better.
  if (lease !== undefined || failures.some(({ reason }) => reason === "SERVICE_BUSY")) return lease;
  return pool.acquireLastResort(request);
}

/** A first attempt is free, and so is one after an endpoint that received nothing. */
function mayTry(failures: readonly ServingError[], budget: RetryBudget): boolean {
  const last = failures.at(-1);
  return last === undefined || last.reason === "ENDPOINT_UNREACHABLE" || budget.tryRetry();
}

/** What the caller is told when no attempt is left, the most telling first: other errors say no more than NO_ENDPOINT. */
const telling = ["SERVICE_BUSY", "SERVICE_NOT_READY", "ENDPOINT_LOST"] as const;

function lastWord(service: string, failures: readonly ServingError[]): ServingError {
  for (const reason of telling) {
    const [soonest] = failures
      .filter((failure) => failure.reason === reason)
      .toSorted((a, b) => (a.retryAfterMs ?? Number.MAX_VALUE) - (b.retryAfterMs ?? Number.MAX_VALUE));
    if (soonest !== undefined) return soonest;
  }
  return new ServingError("NO_ENDPOINT", `no loader of service '${service}' can be reached`, {
    cause: failures.at(-1),
  });
}
