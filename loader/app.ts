import { resolve } from "node:path";
import type { LoaderConfig } from "../config/loader.ts";
import type { Logger } from "../config/logger.ts";
import { createAdmin } from "./admin/server.ts";
import { type LocatedManifest, loadManifest } from "./manifest/manifest.ts";
import { readService } from "./manifest/read-service.ts";
import { createRepository } from "./manifest/repository.ts";
import { serve } from "./manifest/serve.ts";
import { createServiceSet } from "./manifest/service-set.ts";
import { answerFast, inferPath, isFast } from "./service/fast-path.ts";
import { answerFastStream, inferStreamPath, isFastStream } from "./service/fast-stream.ts";
import { createInference } from "./service/inference.ts";
import { listen } from "./service/listener.ts";
import { createResources } from "./service/resources.ts";
import { createRoutes } from "./service/routes.ts";
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
    services.catalog.list().map(({ definition, scheduler, engine }) => ({
      service: definition.id,
      load: scheduler.load(),
      resources: engine.resources?.list(),
    })),
  );
  const environment = {
    logger,
    now,
    onWait: metrics.observeWait,
    onBatch: metrics.observeBatch,
    onMeter: metrics.countMeter,
  };
  const sourceOf = new Map(manifests.map((located) => [located.manifest.id, located.source]));
  const services = createServiceSet(manifests, {
    read: (id) =>
      readService(id, sourceOf, config.repository === undefined ? undefined : resolve(folder, config.repository)),
    known: () => [...sourceOf.keys()],
    serve: (manifest, inherited) => serve(manifest, environment, inherited),
    drainTimeoutMs: config.drainTimeoutMs,
    logger,
  });
  const { catalog } = services;
  const inference = createInference({
    catalog,
    isDraining,
    newSid: () => crypto.randomUUID(),
    now,
    observe: metrics.observe,
  });
  const resources = createResources({ catalog, isDraining, newId: newResourceId, now });
  const repository = config.modelControl === "explicit" ? createRepository(services, logger) : undefined;
  const { maxBodyBytes } = config;
  const routes = createRoutes({ catalog, inference, resources, repository, isDraining, maxBodyBytes });
  const listener = listen(config.listen, (request, watch) => {
    const path = pathOf(request.url);
    if (path === inferPath && isFast(request)) return answerFast(request, inference, maxBodyBytes);
    if (path === inferStreamPath && isFastStream(request)) {
      return answerFastStream(request, inference, maxBodyBytes, watch);
    }
    return routes.get(path)?.(request) ?? new Response(null, { status: 404 });
  });
  const adminListener = listen(config.admin, createAdmin({ services, metrics, isDraining, logger }));
  logger.info({ listener: "admin", url: adminListener.url }, "listening");
  logger.info({ listener: "public", url: listener.url }, "listening");
  return {
    url: listener.url,
    adminUrl: adminListener.url,
    async drain() {
      draining = true;
      const complete = await listener.drain(config.drainTimeoutMs);
      await services.stop();
      adminListener.close();
      return complete;
    },
  };
}

/**
 * Ids of resources that nobody chose: at random, so that one who still uses an id that is gone does not meet another's
 * resource; and small enough for wrappers that keep them as signed numbers.
 */
function newResourceId(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) >>> 1;
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
