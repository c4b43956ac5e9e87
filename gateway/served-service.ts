import { isDeepStrictEqual } from "node:util";
import { ServingError } from "../proto/errors.ts";
import { type ServiceDefinition, ServiceState } from "../proto/gen/athena/v1/service_pb.ts";
import type { ServiceStatus } from "./admin/server.ts";
import { createBalancer } from "./balancer/registry.ts";
import { dispatch, dispatchSession } from "./client/dispatch.ts";
import type { LoaderClient } from "./client/loader-client.ts";
import type { RetryBudget } from "./client/retry-budget.ts";
import type { CallOptions } from "./client/unary.ts";
import type { ServicePlan } from "./configuration/service-plan.ts";
import type { ServiceTarget } from "./pipeline.ts";
import { createEndpoint } from "./pool/endpoint.ts";
import { forEachAtOnce, type HealthCheck, maxConcurrentProbes, startHealthCheck } from "./pool/health-check.ts";
import { createPool, type Pool } from "./pool/pool.ts";
import { createSchemaRegistry, type SchemaRegistry } from "./schema/registry.ts";
import { type ControlAction, controlService } from "./service-control.ts";
import { createStatistics, type ServiceStatistics } from "./telemetry/statistics.ts";
import type { Endpoint } from "./types.ts";
import { within } from "./within.ts";

/** How often and how long the endpoints of every service are probed. */
export interface ProbeSettings {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** One service of the configuration, at work: its pool, its probes and its definition. */
export interface ServedService extends Disposable {
  readonly plan: ServicePlan;
  readonly target: ServiceTarget;
  readonly pool: Pool;
  readonly statistics: ServiceStatistics;
  /** Resolves when the round of probes that is under way has ended; at once when none is. */
  settled(): Promise<void>;
  status(): ServiceStatus;
  /** Loads it on its loaders, or takes it out of them. See {@link controlService}. */
  control(action: ControlAction, bounds: CallOptions): Promise<void>;
  /**
   * Gets ready for another plan of the service in the same version: endpoints that are new are probed. What it resolves to
   * takes the plan over, at once and without failing, and gives the service as it is then. Calls under way at the service
   * as it was go on; endpoints that stay keep what is known of them.
   */
  prepare(plan: ServicePlan, probes: ProbeSettings): Promise<() => ServedService>;
}

/** What every service of a gateway shares. */
export interface ServiceEnvironment {
  readonly client: LoaderClient;
  readonly createBudget: () => RetryBudget;
  readonly now: () => number;
  readonly random: () => number;
  /** Told why a loader's definition cannot be used. */
  readonly onBrokenDefinition: (service: string, error: ServingError) => void;
}

/** What stays of a service when its plan changes. */
interface Core {
  readonly pool: Pool;
  readonly schemas: SchemaRegistry;
  readonly budget: RetryBudget;
  readonly statistics: ServiceStatistics;
  readonly environment: ServiceEnvironment;
  probes: ProbeSettings;
  healthCheck: HealthCheck;
}

/** Puts one service to work: it is probed from now on, until it is disposed of. */
export function serveService(plan: ServicePlan, probes: ProbeSettings, environment: ServiceEnvironment): ServedService {
  const { now, random } = environment;
  const { config } = plan;
  const pool = createPool({
    service: config.id,
    endpoints: config.endpoints,
    balancer: createBalancer(config.balancer, random),
    outlier: { now, random },
  });
  // One of its own, so that a request to a service that is taken out finds its definition to the end.
  const schemas = createSchemaRegistry({ maxServices: 1 });
  const budget = environment.createBudget();
  const base = { pool, schemas, budget, statistics: createStatistics({ now, date: Date.now }), environment, probes };
  const healthCheck = startHealthCheck({ pool, probe: createProbe(plan, base), ...probes });
  return viewOf(plan, { ...base, healthCheck });
}

function viewOf(plan: ServicePlan, core: Core): ServedService {
  const { pool, schemas, budget, statistics } = core;
  const { client, now } = core.environment;
  const { config, overlay } = plan;
  const told = (version = "") => {
    if (version !== "" && config.version !== "" && version !== config.version) return undefined;
    return schemas.find(config.id, version || config.version);
  };
  const compiled = (version = "") => {
    const definition = told(version);
    // A schema file describes whichever version is served, before a loader has told of any.
    return overlay === undefined || (definition === undefined && version !== "") ? definition : overlay(definition);
  };
  return {
    plan,
    pool,
    statistics,
    target: {
      id: config.id,
      version: config.version,
      timeoutMs: plan.timeoutMs,
      session: plan.session,
      hashKey: config.balancer.kind === "consistent-hash" ? config.balancer.key : undefined,
      codeMap: plan.codeMap,
      compiled,
      dispatch: (request, call) =>
        statistics.watch(request, compiled(request.version), () =>
          dispatch(pool, request, { ...call, budget, client, now }),
        ),
      dispatchSession: (request, inputs, call) =>
        dispatchSession(pool, request, inputs, { ...call, budget, client, now }),
    },
    settled: () => core.healthCheck.settled(),
    status() {
      if (told() === undefined) return { service: config.id, ready: false, reason: "no loader has described it yet" };
      const ready = pool.members().some((member) => member.state === "ready");
      return ready
        ? { service: config.id, ready }
        : { service: config.id, ready, reason: "none of its endpoints can be called" };
    },
    control: (action, bounds) =>
      controlService(
        action,
        {
          pool,
          client,
          probe: createProbe(plan, core),
          probeTimeoutMs: core.probes.timeoutMs,
          settled: () => core.healthCheck.settled(),
        },
        bounds,
      ),
    async prepare(next, probes) {
      const unreachable = await probeNewEndpoints(next, core, probes);
      // Compiled now, and not in front of the first request.
      next.overlay?.(told());
      return () => {
        takeOver(plan, next, core, unreachable);
        if (!isDeepStrictEqual(probes, core.probes)) restartProbes(next, core, probes);
        return viewOf(next, core);
      };
    },
    [Symbol.dispose]: () => core.healthCheck[Symbol.dispose](),
  };
}

/** How long new endpoints may take to be probed; those that are not by then count as if they could not be called. */
const maxPreparationMs = 10_000;

/** The URLs of those of a plan's endpoints that are not members yet and cannot be called. */
async function probeNewEndpoints(next: ServicePlan, core: Core, probes: ProbeSettings): Promise<ReadonlySet<string>> {
  const members = new Set(core.pool.endpoints().map(({ url }) => url));
  const probe = createProbe(next, { ...core, probes });
  const added = next.config.endpoints.filter(({ url }) => !members.has(url));
  const unreachable = new Set(added.map(({ url }) => url));
  const probing = forEachAtOnce(added, maxConcurrentProbes, async ({ url, weight }) => {
    try {
      await probe(createEndpoint(url, weight), AbortSignal.timeout(probes.timeoutMs));
      unreachable.delete(url);
    } catch {
      // It stays in the set.
    }
  });
  await within(probing, maxPreparationMs);
  return unreachable;
}

function takeOver(
  old: ServicePlan,
  next: ServicePlan,
  { pool, environment }: Core,
  unreachable: ReadonlySet<string>,
): void {
  if (!isDeepStrictEqual(old.config.balancer, next.config.balancer)) {
    pool.setBalancer(createBalancer(next.config.balancer, environment.random));
  }
  if (isDeepStrictEqual(old.config.endpoints, next.config.endpoints)) return;
  pool.setEndpoints(next.config.endpoints);
  for (const endpoint of pool.endpoints()) if (unreachable.has(endpoint.url)) pool.setHealthy(endpoint, false);
}

function restartProbes(plan: ServicePlan, core: Core, probes: ProbeSettings): void {
  core.healthCheck[Symbol.dispose]();
  core.probes = probes;
  core.healthCheck = startHealthCheck({ pool: core.pool, probe: createProbe(plan, core), ...probes });
}

/**
 * A probe asks for the service's definition: one call tells that the loader lives, that the service is loaded, how busy it
 * is, and what it takes. A definition is adopted when its endpoint tells another one than before, so that two loaders of
 * different versions do not overwrite each other on every round.
 */
function createProbe({ config }: ServicePlan, core: Pick<Core, "schemas" | "environment" | "probes">) {
  const { schemas, environment, probes } = core;
  const told = new WeakMap<Endpoint, string>();
  return async (endpoint: Endpoint, signal: AbortSignal): Promise<void> => {
    const { definition, state } = await environment.client.describe(endpoint, config, {
      signal,
      timeoutMs: probes.timeoutMs,
    });
    if (state !== ServiceState.READY || definition === undefined) {
      throw new ServingError("SERVICE_NOT_READY", `service '${config.id}' is not ready`);
    }
    const print = fingerprint(definition);
    if (told.get(endpoint) === print && schemas.find(config.id, config.version) !== undefined) return;
    try {
      schemas.put(definition);
      told.set(endpoint, print);
    } catch (error) {
      environment.onBrokenDefinition(config.id, ServingError.from(error));
      throw error;
    }
  };
}

function fingerprint(definition: ServiceDefinition): string {
  return JSON.stringify(definition, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}
