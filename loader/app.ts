import { resolve } from "node:path";
import type { LoaderConfig } from "../config/loader.ts";
import type { Logger } from "../config/logger.ts";
import { createAdmin } from "./admin/server.ts";
import { type LocatedManifest, loadManifest } from "./manifest/manifest.ts";
import { serve } from "./manifest/serve.ts";
import { answerFast, inferPath, isFast } from "./service/fast-path.ts";
import { createInference } from "./service/inference.ts";
import { listen } from "./service/listener.ts";
import { createRoutes } from "./service/routes.ts";
import { createCatalog } from "./service/served.ts";
import { createMetrics } from "./telemetry/metrics.ts";

/** A loader that listens. */
export interface Loader {
  readonly url: string;
  readonly adminUrl: string;
  /**
   * Says "not ready", refuses new calls, lets those in flight finish, stops the engines, and closes. False when some
   * did not finish within the configured time.
   */
  drain(): Promise<boolean>;
}

/**
 * Starts a loader. It listens at once; its services become ready one by one as their engines are loaded and warm, and one
 * that fails does not stop the others. `folder` is what relative paths of the configuration begin at.
 *
 * @throws ConfigError for a service.yaml that cannot be used, Error when an address cannot be listened on.
 */
export function startLoader(config: LoaderConfig, folder: string, logger: Logger): Loader {
  const now = () => performance.now();
  const manifests = config.services.map((path) => loadManifest(resolve(folder, path)));
  assertDistinct(manifests);
  let draining = false;
  const isDraining = (): boolean => draining;

  const metrics = createMetrics(() =>
    catalog.list().map(({ definition, scheduler }) => ({ service: definition.id, load: scheduler.load() })),
  );
  const services = manifests.map((manifest) => serve(manifest, { logger, now, onWait: metrics.observeWait }));
  const catalog = createCatalog(services);
  const inference = createInference({
    catalog,
    isDraining,
    newSid: () => crypto.randomUUID(),
    now,
    observe: metrics.observe,
  });
  const routes = createRoutes({ catalog, inference, isDraining, maxBodyBytes: config.maxBodyBytes });
  const listener = listen(config.listen, (request) => {
    const path = pathOf(request.url);
    if (path === inferPath && isFast(request)) return answerFast(request, inference, config.maxBodyBytes);
    return routes.get(path)?.(request) ?? new Response(null, { status: 404 });
  });
  const adminListener = listen(config.admin, createAdmin({ catalog, metrics, isDraining }));
  logger.info({ listener: "admin", url: adminListener.url }, "listening");
  logger.info({ listener: "public", url: listener.url }, "listening");
  return {
    url: listener.url,
    adminUrl: adminListener.url,
    async drain() {
      draining = true;
      const complete = await listener.drain(config.drainTimeoutMs);
      await Promise.all(services.map((service) => service.engine.stop()));
      adminListener.close();
      return complete;
    },
  };
}

/** The path of an absolute URL, without building a URL object: this is on every call. */
function pathOf(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const end = url.indexOf("?", start);
  return url.slice(start, end === -1 ? undefined : end);
}

function assertDistinct(manifests: readonly LocatedManifest[]): void {
  const seen = new Set<string>();
  for (const { id } of manifests.map(({ manifest }) => manifest)) {
    if (seen.has(id)) throw new Error(`two service folders define the service '${id}'`);
    seen.add(id);
  }
}
