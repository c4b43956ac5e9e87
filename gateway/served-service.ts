import type { ServiceConfig } from "../config/gateway.ts";
import { ServingError } from "../proto/errors.ts";
import { type ServiceDefinition, ServiceState } from "../proto/gen/athena/v1/service_pb.ts";
import type { ServiceStatus } from "./admin/server.ts";
import { createBalancer } from "./balancer/registry.ts";
import { dispatch, dispatchSession } from "./client/dispatch.ts";
import type { LoaderClient } from "./client/loader-client.ts";
import type { RetryBudget } from "./client/retry-budget.ts";
import type { ServicePlan } from "./configuration/service-plan.ts";
import type { ServiceTarget } from "./pipeline.ts";
import { type HealthCheck, startHealthCheck } from "./pool/health-check.ts";
import { createPool, type Pool } from "./pool/pool.ts";
import type { SchemaRegistry } from "./schema/registry.ts";
import { createStatistics, type ServiceStatistics } from "./telemetry/statistics.ts";
import type { Endpoint } from "./types.ts";

/** One service of the configuration, at work: its pool, its probes and its definition. */
export interface ServedService extends Disposable {
  readonly plan: ServicePlan;
  readonly target: ServiceTarget;
  readonly pool: Pool;
  readonly healthCheck: HealthCheck;
  readonly statistics: ServiceStatistics;
  status(): ServiceStatus;
}

/** What every service of a gateway shares. */
export interface ServiceEnvironment {
  readonly client: LoaderClient;
  readonly schemas: SchemaRegistry;
  readonly healthCheck: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly createBudget: () => RetryBudget;
  readonly now: () => number;
  readonly random: () => number;
  /** Told why a loader's definition cannot be used. */
  readonly onBrokenDefinition: (service: string, error: ServingError) => void;
}

/** Puts one service to work: it is probed from now on, until it is disposed of. */
export function serveService(plan: ServicePlan, environment: ServiceEnvironment): ServedService {
  const { client, schemas, now, random } = environment;
  const { config, overlay } = plan;
  const pool = createPool({
    service: config.id,
    endpoints: config.endpoints,
    balancer: createBalancer(config.balancer, random),
    outlier: { now, random },
  });
  const budget = environment.createBudget();
  const statistics = createStatistics({ now, date: Date.now });
  const told = (version = "") => {
    if (version !== "" && config.version !== "" && version !== config.version) return undefined;
    return schemas.find(config.id, version || config.version);
  };
  const compiled = (version = "") => {
    const definition = told(version);
    // A schema file describes whichever version is served, before a loader has told of any.
    return overlay === undefined || (definition === undefined && version !== "") ? definition : overlay(definition);
  };
  const healthCheck = startHealthCheck({ pool, probe: createProbe(config, environment), ...environment.healthCheck });
  return {
    plan,
    pool,
    healthCheck,
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
    status() {
      if (told() === undefined) {
        return { service: config.id, ready: false, reason: "no loader has described it yet" };
      }
      const ready = pool.members().some((member) => member.state === "ready");
      return ready
        ? { service: config.id, ready }
        : { service: config.id, ready, reason: "none of its endpoints can be called" };
    },
    [Symbol.dispose]: () => healthCheck[Symbol.dispose](),
  };
}

/**
 * A probe asks for the service's definition: one call tells that the loader lives, that the service is loaded, how busy it
 * is, and what it takes. A definition is adopted when its endpoint tells another one than before, so that two loaders of
 * different versions do not overwrite each other on every round.
 */
function createProbe(config: ServiceConfig, environment: ServiceEnvironment) {
  const { client, schemas, healthCheck, onBrokenDefinition } = environment;
  const told = new WeakMap<Endpoint, string>();
  return async (endpoint: Endpoint, signal: AbortSignal): Promise<void> => {
    const { definition, state } = await client.describe(endpoint, config, {
      signal,
      timeoutMs: healthCheck.timeoutMs,
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
      onBrokenDefinition(config.id, ServingError.from(error));
      throw error;
    }
  };
}

function fingerprint(definition: ServiceDefinition): string {
  return JSON.stringify(definition, (_, value: unknown) => {
    // An example may have a megabyte, and as JSON it would be an object with a member for each byte.
    if (value instanceof Uint8Array) return Bun.hash(value).toString();
    return typeof value === "bigint" ? String(value) : value;
  });
}
