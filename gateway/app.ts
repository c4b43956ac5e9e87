import type { ConnectRouter } from "@connectrpc/connect";
import type { GatewayConfig } from "../config/gateway.ts";
import { ConfigError } from "../config/load.ts";
import type { Logger } from "../config/logger.ts";
import { ServingError } from "../proto/errors.ts";
import { addCatalog } from "./adapter/connect/catalog-service.ts";
import { addPublicInference, type InferenceServiceOptions } from "./adapter/connect/inference-service.ts";
import { createConnectRoutes } from "./adapter/connect/routes.ts";
import { allowOrigins } from "./adapter/cors.ts";
import { createDocs, type DocsHandler } from "./adapter/docs.ts";
import { refuseEarly } from "./adapter/early-refusal.ts";
import { listenGrpc } from "./adapter/grpc.ts";
import { addHealthService } from "./adapter/health.ts";
import { createHttpAdapter, type HttpAdapterOptions } from "./adapter/http.ts";
import { type FetchHandler, type Listener, listen, type WebSocketOptions } from "./adapter/listener.ts";
import { refuseOddAddress } from "./adapter/odd-address.ts";
import { refuseOddHandshake } from "./adapter/odd-handshake.ts";
import { addInferenceService, type GrpcServiceOptions } from "./adapter/oip/grpc-service.ts";
import { createModelDirectory } from "./adapter/oip/models.ts";
import { createModelControl } from "./adapter/oip/repository.ts";
import { createRestAdapter, isRestUrl, type RestAdapterOptions } from "./adapter/oip/rest.ts";
import { createOrigins } from "./adapter/origins.ts";
import { addReflection } from "./adapter/reflection.ts";
import type { RpcObserver } from "./adapter/rpc-record.ts";
import { createWebSocketAdapter, type WebSocketAdapterOptions } from "./adapter/websocket/adapter.ts";
import { createByteBudget } from "./adapter/websocket/inbox.ts";
import { refuseOrigin } from "./adapter/websocket/refuse-origin.ts";
import { createAdmin } from "./admin/server.ts";
import { type Admission, createOpenAdmission } from "./admission/admission.ts";
import { createInFlight, type InFlight } from "./admission/in-flight.ts";
import { type RunningAdmission, startAdmission } from "./admission/start.ts";
import { createLoaderClient } from "./client/loader-client.ts";
import { createRetryBudget } from "./client/retry-budget.ts";
import { type Configuration, readConfiguration } from "./configuration/read-configuration.ts";
import { createReloader, type Reloader, type ReloadResult } from "./configuration/reload.ts";
import { watchSources } from "./configuration/watch.ts";
import {
  createUnified,
  openInferenceGenerate,
  openInferenceGrpc,
  openInferenceRest,
  ownMessages,
  unifiedSessions,
} from "./dialects.ts";
import { decodeEnvelope, defaultEnvelopeLimits } from "./envelope/decode.ts";
import { createSidSource } from "./envelope/sid.ts";
import { createDocuments } from "./openapi/documents.ts";
import { createPipeline, defaultSidPrefix, type SharedStages } from "./pipeline.ts";
import { balancingKey } from "./router/balancing-key.ts";
import { createServiceSet, type ServiceSet } from "./service-set.ts";
import { createSessionPipeline, type SessionPipeline, type SessionStages } from "./session-pipeline.ts";
import { createAccessLog } from "./telemetry/access-log.ts";
import { addInFlightGauge } from "./telemetry/admission-metrics.ts";
import { createMetrics, type GatewayMetrics } from "./telemetry/metrics.ts";
import { createOutcomes, type Outcomes } from "./telemetry/outcomes.ts";
import { addWebSocketGauges } from "./telemetry/websocket-metrics.ts";
import type { Envelope } from "./types.ts";

/** A gateway that listens. */
export interface Gateway {
  readonly url: string;
  readonly grpcUrl: string;
  readonly adminUrl: string;
  /** Reads the configuration again and serves what has changed. Never rejects. */
  reload(): Promise<ReloadResult>;
  /**
   * Says "not ready", takes no new connections, lets the requests in flight finish, and closes. False when some did not
   * finish within the configured time.
   */
  drain(): Promise<boolean>;
}

/**
 * Starts a gateway with the configuration file at a path: builds every stage, probes the loaders once, then listens.
 *
 * @throws ConfigError when the configuration cannot be used; Error when an address cannot be listened on.
 */
export async function startGateway(path: string, logger: Logger): Promise<Gateway> {
  const now = () => performance.now();
  const reading = await readFirst(path);
  const { config } = reading.result;
  const served = await serveFirst(reading.result, logger, now);
  let draining = false;
  const isDraining = (): boolean => draining;
  const pools = () => poolsOf(served);
  const metrics = createMetrics(pools, () => sessions.active());
  const { maxBodyBytes, maxPriority } = config.limits;
  const inFlight = createInFlight(config.limits.maxRequestsInFlight);
  addInFlightGauge(metrics.registry, inFlight.count);
  const means = { logger, registry: metrics.registry, maxBodyBytes, maxPriority, now, wallClock: Date.now };
  const running = reading.result.admission && (await startAdmission(reading.result.admission, means));
  const admission = running?.admission ?? createOpenAdmission(maxPriority);
  const accessLog = config.accessLog ? createAccessLog() : undefined;
  const stages = createSharedStages(config, served, { inFlight, admission, now });
  const decode = createDecoder(config);
  const outcomes = createOutcomes(metrics, accessLog);
  const sessions = createSessionLine(config, stages, { isDraining, observer: outcomes.sessionObserver });
  const directory = createModelDirectory(() => served.current.services);
  const common = {
    ...outcomes,
    admission,
    directory,
    control: createModelControl(directory, config.modelControl === "explicit"),
    maxBodyBytes,
    isDraining,
    now,
    newSid: () => stages.newSid(defaultSidPrefix),
  };
  const streams = { ...config.sessions, sessions, admission, decode, isDraining };
  const webSockets = webSocketsFor(config, { ...common, ...streams }, metrics.registry);
  const reloader = reloaderFor(path, reading, { served, running, metrics, logger, isDraining });
  const services = () => served.current.services.map((service) => service.status());
  const admin = createAdmin({ metrics, isDraining, services, reload: reloader.reload });
  const addOwnServices = ownServices(config, stages, { ...common, sessions }, served);
  const grpcListener = await listenForGrpc(config, stages, { ...common, sessions }, addOwnServices);
  const answer = createAnswer(stages, { ...common, streams }, addOwnServices, docsFor(config, served, outcomes));
  const publicListener = listen(config.listen, allowOrigins(answer, config.cors, outcomes), webSockets);
  const adminListener = listen(config.admin, admin.fetch);
  const watching = watch(reloader, config.reloadIntervalMs);
  const listeners = { admin: adminListener, grpc: grpcListener, public: publicListener };
  for (const [listener, { url }] of Object.entries(listeners)) logger.info({ listener, url }, "listening");
  return {
    url: publicListener.url,
    grpcUrl: grpcListener.url,
    adminUrl: adminListener.url,
    reload: reloader.reload,
    async drain() {
      draining = true;
      watching?.[Symbol.dispose]();
      webSockets.adapter.drain();
      const { drainTimeoutMs } = served.current.configuration.config;
      const isComplete = await drainWithSessions([publicListener, grpcListener], sessions, drainTimeoutMs);
      served[Symbol.dispose]();
      running?.[Symbol.dispose]();
      await accessLog?.flush();
      adminListener.close();
      return isComplete;
    },
  };
}

function poolsOf({ current }: ServiceSet) {
  return current.services.map(({ pool }) => ({ service: pool.service, endpoints: pool.endpoints() }));
}

type FirstReading = Parameters<typeof createReloader>[0]["first"];

async function readFirst(path: string): Promise<FirstReading> {
  const { sources, result } = await readConfiguration(path);
  if (result instanceof ConfigError) throw result;
  return { sources, result };
}

/**
 * Answers on the public listener. What has paths of its own goes first, the contract itself, the documents, and the Open Inference
 * Protocol below /v2: every other path may be a service's.
 */
function createAnswer(
  stages: SharedStages,
  common: Omit<HttpAdapterOptions, "pipeline"> & Omit<RestAdapterOptions, "pipeline" | "generate"> & RpcObserver,
  addServices: (router: ConnectRouter) => void,
  docs: DocsHandler | undefined,
): FetchHandler {
  const unified = createUnified(common.streams.decode);
  const adapter = createHttpAdapter({ ...common, pipeline: createPipeline(stages, unified) });
  const generate = createPipeline(stages, openInferenceGenerate);
  const rest = createRestAdapter({ ...common, generate, pipeline: createPipeline(stages, openInferenceRest) });
  const connect = createConnectRoutes({ addServices, maxMessageBytes: common.maxBodyBytes, observer: common });
  return (request, bindings) =>
    refuseOddAddress(request, bindings, common) ??
    refuseOddHandshake(request, bindings, common) ??
    connect(request, bindings) ??
    docs?.(request, bindings) ??
    (isRestUrl(request.url) ? rest : adapter).fetch(request, bindings);
}

/** On unless told, but where callers must say who they are: the documents are for everybody. */
function docsFor(
  { docs, admission }: GatewayConfig,
  served: ServiceSet,
  { observeLookup }: Outcomes,
): DocsHandler | undefined {
  const isProtected = admission !== undefined;
  if (!(docs ?? !isProtected)) return undefined;
  return createDocs(
    createDocuments(() => served.current, isProtected),
    observeLookup,
  );
}

function createDecoder({ limits }: GatewayConfig): (text: string) => Envelope {
  const bounds = { ...defaultEnvelopeLimits, maxDepth: limits.maxJsonDepth };
  return (text) => decodeEnvelope(text, bounds);
}

function createSessionLine(
  config: GatewayConfig,
  stages: SharedStages,
  told: Pick<SessionStages, "isDraining" | "observer">,
): SessionPipeline {
  return createSessionPipeline({ ...stages, ...told, unified: unifiedSessions, maxSessions: config.sessions.max });
}

/** The services that are the same on both public ports: the contract's own, gRPC's health and reflection. */
function ownServices(
  config: GatewayConfig,
  stages: SharedStages,
  common: Omit<InferenceServiceOptions, "pipeline" | "slowReaderTimeoutMs"> & Pick<SessionStages, "isDraining">,
  served: ServiceSet,
): (router: ConnectRouter) => void {
  const pipeline = createPipeline(stages, ownMessages);
  const { slowReaderTimeoutMs } = config.sessions;
  return (router) => {
    addPublicInference(router, { ...common, pipeline, slowReaderTimeoutMs });
    const services = () => served.current.services;
    addCatalog(router, { ...common, services });
    addHealthService(router, {
      ...common,
      isReady: (id) =>
        services()
          .find(({ target }) => target.id === id)
          ?.status().ready,
      serviceIds: () => services().map(({ target }) => target.id),
    });
    addReflection(router, common);
  };
}

function listenForGrpc(
  config: GatewayConfig,
  stages: SharedStages,
  common: Omit<GrpcServiceOptions, "pipeline" | keyof typeof config.sessions | "waiting"> & RpcObserver,
  addOwnServices: (router: ConnectRouter) => void,
): Promise<Listener> {
  const { maxWaitingBytes, maxAllWaitingBytes } = config.sessions;
  const waiting = { maxBytes: maxWaitingBytes, budget: createByteBudget(maxAllWaitingBytes) };
  const pipeline = createPipeline(stages, openInferenceGrpc);
  return listenGrpc(config.grpcListen, {
    maxMessageBytes: config.limits.maxBodyBytes,
    observer: common,
    addServices(router) {
      addOwnServices(router);
      addInferenceService(router, { ...common, ...config.sessions, waiting, pipeline });
    },
  });
}

function webSocketsFor(
  { sessions: bounds, cors }: GatewayConfig,
  shared: Pick<WebSocketAdapterOptions, "sessions" | "admission" | "decode" | "isDraining"> & RpcObserver,
  registry: GatewayMetrics["registry"],
): WebSocketOptions {
  const adapter = createWebSocketAdapter({
    ...shared,
    limits: {
      maxSessions: bounds.maxPerConnection,
      slowReaderTimeoutMs: bounds.slowReaderTimeoutMs,
      idleTimeoutMs: bounds.connectionIdleTimeoutMs,
    },
    inbox: { maxBytes: bounds.maxWaitingBytes, budget: createByteBudget(bounds.maxAllWaitingBytes) },
    resume: {
      windowMs: bounds.resumeWindowMs,
      maxFrames: bounds.maxUnacknowledgedFrames,
      maxBytes: bounds.maxWaitingBytes,
    },
    maxResumable: bounds.max,
    maxConnections: bounds.maxConnections,
    pingTimeoutMs: bounds.pingTimeoutMs,
  });
  addWebSocketGauges(registry, adapter.counts);
  const origins = createOrigins(cors?.origins ?? []);
  return {
    adapter,
    refuse: (request, clientAddress) => refuseOrigin(request, clientAddress, origins, shared),
    answerRefused: (error, clientAddress) => refuseEarly(error, clientAddress, shared),
    maxFrameBytes: bounds.maxFrameBytes,
    pingTimeoutMs: bounds.pingTimeoutMs,
  };
}

/** How long sessions that are ended by the drain have to tell their callers so. */
const lastWordsMs = 1000;

async function drainWithSessions(
  listeners: readonly Listener[],
  sessions: SessionPipeline,
  timeoutMs: number,
): Promise<boolean> {
  let isCut = false;
  const timer = setTimeout(() => {
    isCut = sessions.active().size > 0;
    sessions.abortAll(new ServingError("DRAINING", "the gateway is shutting down"));
  }, timeoutMs);
  const complete = await Promise.all(listeners.map((listener) => listener.drain(timeoutMs + lastWordsMs)));
  clearTimeout(timer);
  return complete.every(Boolean) && !isCut;
}

function serveFirst(first: Configuration, logger: Logger, now: () => number): Promise<ServiceSet> {
  for (const warning of first.warnings) logger.warn({ warning }, "a part of the configuration has no effect");
  return createServiceSet(first, {
    client: createLoaderClient({
      ...first.config.loaderConnections,
      maxResponseBytes: first.config.limits.maxAnswerBytes,
    }),
    createBudget: () => createRetryBudget({ now }),
    now,
    random: Math.random,
    onBrokenDefinition: (service: string, error: Error) =>
      logger.error({ service, err: error }, "a loader's definition cannot be used"),
  });
}

function reloaderFor(
  path: string,
  first: FirstReading,
  parts: {
    readonly served: ServiceSet;
    /** Undefined while admission is off. */
    readonly running: RunningAdmission | undefined;
    readonly metrics: GatewayMetrics;
    readonly logger: Logger;
    readonly isDraining: () => boolean;
  },
): Reloader {
  const { served, running, metrics, logger, isDraining } = parts;
  return createReloader({
    path,
    first,
    async apply(configuration) {
      using apps = configuration.admission && (await running?.prepare(configuration.admission));
      const change = await served.apply(configuration);
      return apps === undefined ? change : { ...change, apps: apps.takeOver() };
    },
    observe(result) {
      metrics.observeReload(result.outcome);
      if (result.outcome === "applied") for (const service of result.removed) metrics.forget(service);
    },
    isDraining,
    logger,
  });
}

function watch({ sources, reload }: Reloader, intervalMs: number): Disposable | undefined {
  if (intervalMs === 0) return undefined;
  return watchSources({ sources, intervalMs, onChange: async () => void (await reload()) });
}

function createSharedStages(
  config: GatewayConfig,
  served: ServiceSet,
  shared: { readonly inFlight: InFlight; readonly admission: Admission; readonly now: () => number },
): SharedStages {
  const newSid = createSidSource({
    pid: process.pid,
    location: config.location,
    address: config.listen.host,
    port: config.listen.port,
    now: Date.now,
  });
  return { ...shared, route: (query) => served.current.route(query), newSid, balancingKey };
}
