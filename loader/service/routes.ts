import { create } from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";
import {
  InferenceService,
  InferServerStreamResponseSchema,
  InferStreamResponseSchema,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import {
  CatalogService,
  type LoadReport,
  LoadReportSchema,
  ServiceState,
} from "../../proto/gen/athena/v1/service_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import { announceHeader, formatLoad, loadHeader } from "../../proto/metadata.ts";
import type { EngineInput } from "../engine/engine.ts";
import type { CallBounds, Inference } from "./inference.ts";
import { addRepository, type Repository } from "./repository-routes.ts";
import { addResources } from "./resource-routes.ts";
import type { Resources } from "./resources.ts";
import type { Catalog, Served } from "./served.ts";
import { openSession } from "./session-input.ts";

/** What the routes are built from. */
export interface RoutesOptions {
  readonly catalog: Catalog;
  readonly inference: Inference;
  readonly resources: Resources;
  /** Undefined: services are loaded and unloaded at the admin address alone. */
  readonly repository: Repository | undefined;
  readonly isDraining: () => boolean;
  readonly maxBodyBytes: number;
}

/** Answers one request of one path. */
export type RouteHandler = (request: Request) => Promise<Response>;

/**
 * The loader's services for any Connect or gRPC-Web client, through the stock handlers: JSON and protobuf, compression,
 * streams. By path.
 */
export function createRoutes(options: RoutesOptions): ReadonlyMap<string, RouteHandler> {
  const router = createConnectRouter({ grpc: false, readMaxBytes: options.maxBodyBytes });
  addInference(router, options.inference);
  addCatalog(router, options.catalog);
  addResources(router, options.resources);
  addRepository(router, options);
  addHealth(router, options);
  // Bun does not tell a request's version. Sessions need HTTP/2, and over HTTP/1.1 the stock handler would refuse them
  // itself; here they work for a client that sends all of its chunks before it reads.
  return new Map(
    router.handlers.map((handler) => [handler.requestPath, createFetchHandler(handler, { httpVersion: "2" })]),
  );
}

function addInference(router: ConnectRouter, inference: Inference): void {
  router.service(InferenceService, {
    infer: (request, context) => connectErrors(() => inference.once(request, boundsFrom(context))),
    async *inferServerStream({ request }, context) {
      try {
        if (request === undefined) throw new ServingError("SCHEMA_VIOLATION", "request: is required");
        for await (const response of inference.stream(request, () => singleInput(request.parts), boundsFrom(context))) {
          if (response !== "open") yield create(InferServerStreamResponseSchema, { response });
        }
      } catch (thrown) {
        throw connectErrorFrom(thrown);
      }
    },
    async *inferStream(messages, context) {
      try {
        const { open, inputs } = await openSession(messages);
        const isAnnounced = context.requestHeader.has(announceHeader);
        for await (const response of inference.stream(open, inputs, boundsFrom(context))) {
          if (response !== "open") yield create(InferStreamResponseSchema, { response });
          else if (isAnnounced) yield create(InferStreamResponseSchema);
        }
      } catch (thrown) {
        throw connectErrorFrom(thrown);
      }
    },
  });
}

function addCatalog(router: ConnectRouter, catalog: Catalog): void {
  router.service(CatalogService, {
    listServices: () => ({
      services: catalog.list().map((served) => ({
        id: served.definition.id,
        version: served.definition.version,
        ...served.state(),
        load: loadReport(served),
      })),
    }),
    describeService: ({ service, version }, context) =>
      connectErrors(async () => {
        const served = catalog.find(service, version);
        context.responseHeader.set(loadHeader, formatLoad(served.scheduler.load()));
        return { definition: served.definition, state: served.state().state, load: loadReport(served) };
      }),
  });
}

function addHealth(router: ConnectRouter, { catalog, isDraining }: RoutesOptions): void {
  router.service(Health, {
    check: ({ service }) =>
      connectErrors(async () => {
        const services = service === "" ? catalog.list() : [catalog.find(service, "")];
        const ready = !isDraining() && services.every((served) => served.state().state === ServiceState.READY);
        return { status: ready ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
      }),
  });
}

function boundsFrom(context: HandlerContext): CallBounds {
  return {
    signal: context.signal,
    timeoutMs: context.timeoutMs(),
    onLoad: (load) => context.responseHeader.set(loadHeader, formatLoad(load)),
  };
}

async function* singleInput(parts: EngineInput["parts"]): AsyncGenerator<EngineInput> {
  yield { parts, last: true };
}

function loadReport({ definition, scheduler }: Served): LoadReport {
  const load = scheduler.load();
  return create(LoadReportSchema, {
    service: definition.id,
    slotsTotal: load.total,
    slotsBest: load.best,
    slotsIdle: load.idle,
    queueLength: load.queued,
    estimatedWaitMs: load.waitMs,
  });
}

async function connectErrors<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (thrown) {
    throw connectErrorFrom(thrown);
  }
}
