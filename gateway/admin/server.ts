import { Hono } from "hono";
import { isForeignPage } from "../../config/own-origin.ts";
import type { ReloadResult } from "../configuration/reload.ts";
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
  readonly reload: () => Promise<ReloadResult>;
}

/**
 * Builds the operator's pages. `/healthz`: the process answers. `/readyz`: it takes traffic, which is so while it does
 * not drain and can reach at least one service; one service's outage must not take the others off a load balancer.
 * `/metrics`: Prometheus text. `POST /reload` reads the configuration again and tells what has changed, or with status 400
 * every mistake in it.
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
  app.post("/reload", async (context) => {
    if (isForeignPage(context.req.raw.headers)) return context.text("not for pages of other hosts\n", 403);
    const result = await sources.reload();
    return context.json(result, result.outcome === "refused" ? 400 : 200);
  });
  app.all("/reload", (context) => context.text("use POST\n", 405, { allow: "POST" }));
  return app;
}
