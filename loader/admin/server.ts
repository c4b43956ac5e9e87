import type { Logger } from "../../config/logger.ts";
import { ServiceState } from "../../proto/gen/athena/v1/service_pb.ts";
import type { ServiceSet } from "../manifest/service-set.ts";
import type { Catalog } from "../service/served.ts";
import type { LoaderMetrics } from "../telemetry/metrics.ts";
import { answerRepository } from "./repository.ts";

/** What the operator's pages are made from. */
export interface AdminSources {
  readonly services: ServiceSet;
  readonly logger: Logger;
  readonly metrics: LoaderMetrics;
  readonly isDraining: () => boolean;
}

/**
 * Builds the operator's pages. `/healthz`: the process answers. `/readyz`: it does not drain and every service that it was
 * given is loaded and warm. `/metrics`: Prometheus text. `/v2/repository/...`: services are loaded and unloaded.
 */
export function createAdmin({ services, metrics, isDraining, logger }: AdminSources) {
  return async (request: Request): Promise<Response> => {
    switch (new URL(request.url).pathname) {
      case "/healthz":
        return new Response("ok\n");
      case "/readyz":
        return readiness(services.catalog, isDraining());
      case "/metrics":
        return new Response(await metrics.render(), { headers: { "content-type": metrics.contentType } });
      default:
        return (await answerRepository(request, services, logger)) ?? new Response("not found\n", { status: 404 });
    }
  };
}

function readiness(catalog: Catalog, draining: boolean): Response {
  const services = catalog.list().map((served) => {
    const { state, reason } = served.state();
    const ready = state === ServiceState.READY;
    return { service: served.definition.id, ready, ...(ready ? {} : { reason }) };
  });
  const ready = !draining && services.every((service) => service.ready);
  return Response.json({ ready, draining, services }, { status: ready ? 200 : 503 });
}
