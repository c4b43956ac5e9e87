import { create } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import {
  InferenceService,
  type InferRequest,
  type InferResponse,
  type InferStreamResponse,
  type StreamInput,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import {
  LoadServiceRequestSchema,
  RepositoryService,
  UnloadServiceRequestSchema,
} from "../../proto/gen/athena/v1/repository_pb.ts";
import {
  CatalogService,
  DescribeServiceRequestSchema,
  type DescribeServiceResponse,
  ListServicesRequestSchema,
  type ListServicesResponse,
  type LoadReport,
} from "../../proto/gen/athena/v1/service_pb.ts";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import type { Load } from "../../proto/metadata.ts";
import type { Endpoint } from "../types.ts";
import { createHttpPool } from "./http-pool.ts";
import { createHttp2Pool } from "./http2-pool.ts";
import { createStreamCaller } from "./stream-call.ts";
import { type CallOptions, createUnaryCaller } from "./unary.ts";

/** A service as its loaders know it. */
export interface ServiceName {
  readonly id: string;
  /** Empty means the version that the loader serves by default. */
  readonly version: string;
}

/**
 * Calls loaders. Every method throws ServingError: what the loader stated, or ENDPOINT_UNREACHABLE (the request did
 * not leave), ENDPOINT_LOST (it may have been run), DEADLINE_EXCEEDED, CANCELED.
 */
export interface LoaderClient extends Disposable {
  /** Runs one once-call. The service's name for messages is the request's own. */
  infer(endpoint: Endpoint, request: InferRequest, options: CallOptions): Promise<InferResponse>;
  /**
   * Runs one session: the first message says that the loader has taken it, the others are its results, pulled from the
   * loader as they are pulled here. See {@link StreamCaller}.
   */
  inferStream(
    endpoint: Endpoint,
    open: InferRequest,
    inputs: AsyncIterable<StreamInput>,
    options: CallOptions,
  ): AsyncGenerator<InferStreamResponse, void, undefined>;
  /** Reads a service's definition, state and load; the load goes into the endpoint as well. */
  describe(endpoint: Endpoint, service: ServiceName, options: CallOptions): Promise<DescribeServiceResponse>;
  /** Reads what a loader serves. */
  listServices(endpoint: Endpoint, options: CallOptions): Promise<ListServicesResponse>;
  /** Loads a service on a loader, or loads it anew; resolves when it serves. */
  loadService(endpoint: Endpoint, serviceId: string, options: CallOptions): Promise<void>;
  /** Takes a service out of a loader; resolves when its calls have finished. */
  unloadService(endpoint: Endpoint, serviceId: string, options: CallOptions): Promise<void>;
  /** Resolves when a loader says that it serves the service; throws SERVICE_NOT_READY when it says that it does not. */
  check(endpoint: Endpoint, serviceId: string, options: CallOptions): Promise<void>;
}

/** What {@link createLoaderClient} is told. */
export interface LoaderClientOptions {
  /** The largest answer, and the largest result of a session, that is read; 64 MiB unless told. */
  readonly maxResponseBytes?: number;
  /** How often a connection with sessions is asked for a sign of life; 20,000 ms unless told. */
  readonly pingIntervalMs?: number;
  /** How long that may take; 10,000 ms unless told. */
  readonly pingTimeoutMs?: number;
}

/** A loader keeps its side of an unused connection open for two minutes. */
const idleConnectionMs = 30_000;

/**
 * Builds the client with which the gateway calls loaders: once-calls over HTTP/1.1 keep-alive, sessions over HTTP/2, both
 * over TCP or Unix sockets. Disposing of it closes its idle connections and breaks off its sessions; once-calls under way
 * run to their end.
 */
export function createLoaderClient(options: LoaderClientOptions = {}): LoaderClient {
  const { maxResponseBytes = 67_108_864, ...pings } = options;
  const pool = createHttpPool({ maxResponseBytes, idleTimeoutMs: idleConnectionMs, now: () => performance.now() });
  const sessionPool = createHttp2Pool({ idleTimeoutMs: idleConnectionMs, ...pings });
  const call = createUnaryCaller(pool);
  return {
    inferStream: createStreamCaller(sessionPool, maxResponseBytes),
    infer: (endpoint, request, bounds) =>
      call(endpoint, InferenceService.method.infer, request, request.service, bounds),
    async describe(endpoint, { id, version }, bounds) {
      const request = create(DescribeServiceRequestSchema, { service: id, version });
      const response = await call(endpoint, CatalogService.method.describeService, request, id, bounds);
      endpoint.load = loadFromReport(response.load) ?? endpoint.load;
      return response;
    },
    listServices: (endpoint, bounds) =>
      call(endpoint, CatalogService.method.listServices, create(ListServicesRequestSchema), "catalog", bounds),
    async loadService(endpoint, serviceId, bounds) {
      const request = create(LoadServiceRequestSchema, { service: serviceId });
      await call(endpoint, RepositoryService.method.loadService, request, serviceId, bounds);
    },
    async unloadService(endpoint, serviceId, bounds) {
      const request = create(UnloadServiceRequestSchema, { service: serviceId });
      await call(endpoint, RepositoryService.method.unloadService, request, serviceId, bounds);
    },
    async check(endpoint, serviceId, bounds) {
      const request = create(HealthCheckRequestSchema, { service: serviceId });
      const { status } = await call(endpoint, Health.method.check, request, serviceId, bounds);
      if (status === HealthCheckResponse_ServingStatus.SERVING) return;
      throw new ServingError("SERVICE_NOT_READY", `service '${serviceId}' is not ready on a loader`);
    },
    [Symbol.dispose]() {
      pool[Symbol.dispose]();
      sessionPool[Symbol.dispose]();
    },
  };
}

function loadFromReport(report: LoadReport | undefined): Load | undefined {
  if (report === undefined) return undefined;
  const { slotsTotal, slotsBest, slotsIdle, queueLength, estimatedWaitMs } = report;
  return { total: slotsTotal, best: slotsBest, idle: slotsIdle, queued: queueLength, waitMs: estimatedWaitMs };
}
