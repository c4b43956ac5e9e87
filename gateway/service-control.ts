import { ServingError } from "../proto/errors.ts";
import type { LoaderClient } from "./client/loader-client.ts";
import type { CallOptions } from "./client/unary.ts";
import { forEachAtOnce, type Probe } from "./pool/health-check.ts";
import type { Pool } from "./pool/pool.ts";
import type { Endpoint } from "./types.ts";

/** What may be done with a service at its loaders. */
export type ControlAction = "load" | "unload";

/** What {@link controlService} works with. */
export interface ControlledService {
  readonly pool: Pick<Pool, "service" | "endpoints" | "setHealthy">;
  readonly client: Pick<LoaderClient, "loadService" | "unloadService">;
  readonly probe: Probe;
  readonly probeTimeoutMs: number;
  /** Resolves when the round of probes that is under way has ended. */
  readonly settled: () => Promise<void>;
}

/** Loaders that load at once: each of them may read its model from the same disk. */
const maxAtOnce = 4;

/**
 * Loads a service on every loader of its pool, or takes it out of them, and resolves when the pool knows. Loaders that did
 * it stay as they are now when others could not.
 *
 * @throws ServingError why the first loader that could not do it could not, and how many did it.
 */
export async function controlService(
  action: ControlAction,
  { pool, client, probe, probeTimeoutMs, settled }: ControlledService,
  bounds: CallOptions,
): Promise<void> {
  const endpoints = pool.endpoints();
  const done: Endpoint[] = [];
  const failures: ServingError[] = [];
  await forEachAtOnce(endpoints, maxAtOnce, async (endpoint) => {
    try {
      const act = action === "load" ? client.loadService : client.unloadService;
      await act(endpoint, pool.service, bounds);
      done.push(endpoint);
    } catch (thrown) {
      failures.push(ServingError.from(thrown));
    }
  });
  // A probe from before may come back with how it was then.
  await settled();
  await Promise.all(
    done.map(async (endpoint) => {
      const isLoaded = action === "load" && (await answers(probe, endpoint, probeTimeoutMs));
      pool.setHealthy(endpoint, isLoaded);
    }),
  );
  const [failure] = failures;
  if (failure === undefined || isGoneAnyway(action, done, failures)) return;
  if (endpoints.length === 1) throw failure;
  const count = `${done.length} of ${endpoints.length} loaders have ${action}ed it`;
  throw new ServingError(failure.reason, `${failure.message} (${count})`, { cause: failure });
}

async function answers(probe: Probe, endpoint: Endpoint, timeoutMs: number): Promise<boolean> {
  try {
    await probe(endpoint, AbortSignal.timeout(timeoutMs));
    return true;
  } catch {
    // The next round of probes finds out what it is.
    return false;
  }
}

/** A loader that has not got it has nothing to take out, where another one had. */
function isGoneAnyway(action: ControlAction, done: readonly Endpoint[], failures: readonly ServingError[]): boolean {
  return action === "unload" && done.length > 0 && failures.every(({ reason }) => reason === "SERVICE_NOT_FOUND");
}
