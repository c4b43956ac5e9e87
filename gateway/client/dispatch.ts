import { ServingError } from "../../proto/errors.ts";
import type {
  InferRequest,
  InferResponse,
  InferStreamResponse,
  StreamInput,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Lease } from "../pool/lease.ts";
import type { BalancingRequest, Endpoint } from "../types.ts";
import { createCallSignal } from "./call-signal.ts";
import { createInputGate } from "./input-gate.ts";
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
  const { key, deadline, signal, budget, client, now } = options;
  const attempts = beginAttempts(budget);
  for (;;) {
    using lease = nextLease(pool, key, attempts, budget);
    try {
      const response = await client.infer(lease.endpoint, request, { signal, timeoutMs: deadline - now() });
      lease.succeeded();
      return response;
    } catch (thrown) {
      noteFailure(lease, ServingError.from(thrown), attempts);
    }
  }
}

/** What {@link dispatchSession} is bounded by and works with. */
export interface DispatchSessionOptions extends Omit<DispatchOptions, "client"> {
  /** On the clock of `now`; by then a loader must have taken the session. `deadline` is that of the whole session. */
  readonly openDeadline: number;
  readonly client: Pick<LoaderClient, "inferStream">;
}

/** A loader that does not announce that it has taken a session has it, for all we know, after this time. */
const unannouncedMs = 5000;

/**
 * Runs one session: leases an endpoint for exactly as long as the session is there, and after an error whose class says
 * `elsewhere` opens it on one that was not tried, as long as no loader has taken it. Until then nothing of `inputs` is
 * read. A session that was taken is never begun again: its input is gone, and its results may have been seen.
 *
 * The first message has no response and says that a loader has taken the session; each that follows is a result. Leaving
 * the loop, or the signal, cancels the session at the loader. The inputs are closed at its end. Throws as
 * {@link dispatch} does, and what `inputs` throw.
 */
export async function* dispatchSession(
  pool: LeaseSource,
  open: InferRequest,
  inputs: AsyncIterable<StreamInput>,
  options: DispatchSessionOptions,
): AsyncGenerator<InferStreamResponse, void, undefined> {
  const { key, deadline, openDeadline, signal, budget, client, now } = options;
  using opening = createCallSignal(signal, openDeadline - now());
  using gate = createInputGate(inputs);
  const take = (): void => {
    opening.liftDeadline();
    gate.open();
  };
  const attempts = beginAttempts(budget);
  for (;;) {
    using lease = nextLease(pool, key, attempts, budget);
    const bounds = { signal: opening.signal, timeoutMs: deadline - now() };
    const unannounced = setTimeout(take, unannouncedMs);
    const messages = client.inferStream(lease.endpoint, open, gate.inputs(), bounds);
    try {
      const first = await messages.next();
      take();
      lease.succeeded();
      yield announcement;
      if (first.value?.response !== undefined) yield first.value;
      for await (const message of messages) yield message;
      return;
    } catch (thrown) {
      const error = opening.timedOut ? notTakenError(pool.service, thrown) : ServingError.from(thrown);
      noteFailure(lease, error, attempts);
      if (gate.isOpen) throw error;
    } finally {
      clearTimeout(unannounced);
      // The lease ends after the call, also for one who leaves between the first messages.
      await messages.return();
    }
  }
}

const announcement: InferStreamResponse = { $typeName: "athena.v1.InferStreamResponse" };

function notTakenError(service: string, cause: unknown): ServingError {
  return new ServingError("DEADLINE_EXCEEDED", `no loader of service '${service}' took the session in time`, { cause });
}

/** The attempts of one request so far. */
interface Attempts {
  readonly tried: Set<Endpoint>;
  readonly failures: ServingError[];
}

function beginAttempts(budget: RetryBudget): Attempts {
  budget.countRequest();
  return { tried: new Set(), failures: [] };
}

/** The lease of the next attempt. Throws the last word when there is none. */
function nextLease(pool: LeaseSource, key: string | undefined, attempts: Attempts, budget: RetryBudget): Lease {
  const { tried, failures } = attempts;
  const lease = acquire(pool, { key, tried }, failures);
  if (lease === undefined) throw lastWord(pool.service, failures);
  if (!mayTry(failures, budget)) {
    lease[Symbol.dispose]();
    throw lastWord(pool.service, failures);
  }
  tried.add(lease.endpoint);
  return lease;
}

/** Throws the error when another attempt cannot help. */
function noteFailure(lease: Lease, error: ServingError, { failures }: Attempts): void {
  lease.failed(error);
  if (error.class.retry !== "elsewhere") throw error;
  failures.push(error);
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
