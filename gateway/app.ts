import type { GatewayConfig } from "../config/gateway.ts";
import type { Logger } from "../config/logger.ts";
import { readAdmission } from "../config/read-admission.ts";
import { listenGrpc } from "./adapter/grpc.ts";
import { addHealthService } from "./adapter/health.ts";
import { createHttpAdapter, type Exchange } from "./adapter/http.ts";
import { listen } from "./adapter/listener.ts";
import { addInferenceService } from "./adapter/oip/grpc-service.ts";
import { createModelDirectory } from "./adapter/oip/models.ts";
import { createRestAdapter, isRestUrl } from "./adapter/oip/rest.ts";
import { createAdmin } from "./admin/server.ts";
import { type Admission, openAdmission } from "./admission/admission.ts";
import { createInFlight, type InFlight } from "./admission/in-flight.ts";
import { startAdmission } from "./admission/start.ts";
import { createLoaderClient } from "./client/loader-client.ts";
import { createRetryBudget } from "./client/retry-budget.ts";
import { openInferenceGrpc, openInferenceRest, unified } from "./dialects.ts";
import { createSidSource } from "./envelope/sid.ts";
import { createPipeline, type SharedStages } from "./pipeline.ts";
import { balancingKey } from "./router/balancing-key.ts";
import { createRouter } from "./router/router.ts";
import { createSchemaRegistry } from "./schema/registry.ts";
import { type ServedService, serveService } from "./served-service.ts";
import { createAccessLog } from "./telemetry/access-log.ts";
import { addInFlightGauge } from "./telemetry/admission-metrics.ts";
import { createMetrics } from "./telemetry/metrics.ts";

/** A gateway that listens. */
export interface Gateway {
  readonly url: string;
  readonly grpcUrl: string;
  readonly adminUrl: string;
  /**
   * Says "not ready", takes no new connections, lets the requests in flight finish, and closes. False when some did not
   * finish within the configured time.
   */
  drain(): Promise<boolean>;
}

/**
 * Starts a gateway: builds every stage, probes the loaders once, then listens. `folder` is where the relative paths of
 * the configuration begin.
 *
 * @throws ConfigError when what the configuration names cannot be had; Error when an address cannot be listened on.
 */
export async function startGateway(config: GatewayConfig, folder: string, logger: Logger): Promise<Gateway> {
  const now = () => performance.now();
  const admissionConfig = config.admission && readAdmission(config.admission, folder);
  const services = serveServices(config, logger, now);
  await Promise.all(services.map((service) => service.healthCheck.settled()));
  const metrics = createMetrics(() =>
    services.map(({ pool }) => ({ service: pool.service, endpoints: pool.endpoints() })),
  );
  const inFlight = createInFlight(config.limits.maxRequestsInFlight);
  addInFlightGauge(metrics.registry, inFlight.count);
  const { registry } = metrics;
  const { maxBodyBytes } = config.limits;
  const running =
    admissionConfig &&
    (await startAdmission(admissionConfig, { logger, registry, maxBodyBytes, now, wallClock: Date.now }));
  const admission = running?.admission ?? openAdmission;
  const accessLog = config.accessLog ? createAccessLog() : undefined;
  let draining = false;
  const stages = createSharedStages(config, services, { inFlight, admission, now });
  const common = {
    admission,
    directory: createModelDirectory(services),
    maxBodyBytes,
    isDraining: () => draining,
    now,
    observe(exchange: Exchange) {
      metrics.observe(exchange.service, exchange.outcome, exchange.durationMs / 1000);
      accessLog?.write(exchange);
    },
  };
  const adapter = createHttpAdapter({ ...common, pipeline: createPipeline(stages, unified) });
  const rest = createRestAdapter({ ...common, pipeline: createPipeline(stages, openInferenceRest) });
  const admin = createAdmin({
    metrics,
    isDraining: () => draining,
    services: () => services.map((service) => service.status()),
  });
  const grpcListener = await listenGrpc(config.grpcListen, {
    maxMessageBytes: maxBodyBytes,
    addServices(router) {
      addInferenceService(router, { ...common, pipeline: createPipeline(stages, openInferenceGrpc) });
      addHealthService(router, {
        ...common,
        isReady: (id) => services.find((s) => s.target.id === id)?.status().ready,
      });
    },
  });
  const publicListener = listen(config.listen, (request, bindings) =>
    (isRestUrl(request.url) ? rest : adapter).fetch(request, bindings),
  );
  const adminListener = listen(config.admin, admin.fetch);
  logger.info({ listener: "admin", url: adminListener.url }, "listening");
  logger.info({ listener: "grpc", url: grpcListener.url }, "listening");
  logger.info({ listener: "public", url: publicListener.url }, "listening");
  return {
    url: publicListener.url,
    grpcUrl: grpcListener.url,
    adminUrl: adminListener.url,
    async drain() {
      draining = true;
      const listeners = [publicListener, grpcListener];
      const complete = await Promise.all(listeners.map((listener) => listener.drain(config.drainTimeoutMs)));
      for (const service of services) service[Symbol.dispose]();
      running?.[Symbol.dispose]();
      accessLog?.flush();
      adminListener.close();
      return complete.every(Boolean);
    },
  };
}

function serveServices(config: GatewayConfig, logger: Logger, now: () => number): readonly ServedService[] {
  const environment = {
    client: createLoaderClient(),
    schemas: createSchemaRegistry(),
    healthCheck: config.healthCheck,
    createBudget: () => createRetryBudget({ now }),
    now,
    random: Math.random,
    onBrokenDefinition: (service: string, error: Error) =>
      logger.error({ service, err: error }, "a loader's definition cannot be used"),
  };
  return config.services.map((service) => serveService(service, environment));
}

function createSharedStages(
  config: GatewayConfig,
  services: readonly ServedService[],
  shared: { readonly inFlight: InFlight; readonly admission: Admission; readonly now: () => number },
): SharedStages {
  const routes = services.map(({ target }, index) => ({
    serviceId: target.id,
    paths: config.services[index]?.routes ?? [],
    hosts: config.services[index]?.hosts ?? [],
    target,
  }));
  const newSid = createSidSource({
    pid: process.pid,
    location: config.location,
    address: config.listen.host,
    port: config.listen.port,
    now: Date.now,
  });
  return { ...shared, route: createRouter(routes), newSid, balancingKey };
}
