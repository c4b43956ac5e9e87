import { Hono } from "hono";
import type { GatewayMetrics } from "../telemetry/metrics.ts";

/** Whether one service can be called through this gateway now, and if not, why. */
export interface ServiceStatus {
  readonly service: string;
  readonly ready: boolean;
  readonly reason?: string;
}

/** What the operator's pages are made from. */
export interface AdminSources {
  readonly metrics: GatewayMetrics;
  readonly isDraining: () => boolean;
  readonly services: () => readonly ServiceStatus[];
}

/**
 * Builds the operator's pages. `/healthz`: the process answers. `/readyz`: it takes traffic, which is so while it does
 * not drain and can reach at least one service; one service's outage must not take the others off a load balancer.
 * `/metrics`: Prometheus text.
 */
export function createAdmin(sources: AdminSources): Hono {
  const app = new Hono();
  app.get("/healthz", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => {
    const services = sources.services();
    const draining = sources.isDraining();
    const ready = !draining && services.some((service) => service.ready);
    return context.json({ ready, draining, services }, ready ? 200 : 503);
  });
  app.get("/metrics", async (context) =>
    context.body(await sources.metrics.render(), 200, { "content-type": sources.metrics.contentType }),
  );
  return app;
}
