import type { Configuration } from "./configuration/read-configuration.ts";
import type { ServicePlan } from "./configuration/service-plan.ts";
import type { ServiceTarget } from "./pipeline.ts";
import type { Router } from "./router/router.ts";
import { createServiceRouter, type RoutedCategory, routeCategories } from "./routing.ts";
import { type ServedService, type ServiceEnvironment, serveService } from "./served-service.ts";
import { within } from "./within.ts";

/** What is served at one moment. A request keeps to the one in which it began. */
export interface ServedConfiguration {
  readonly configuration: Configuration;
  readonly services: readonly ServedService[];
  readonly categories: readonly RoutedCategory[];
  readonly route: Router<ServiceTarget>;
}

/** How what is served has changed, by services' ids. */
export interface Change {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** The services of a gateway, which come, go and change while others answer. */
export interface ServiceSet extends Disposable {
  readonly current: ServedConfiguration;
  /**
   * Serves another configuration: gets ready for it while what was served before goes on, and then changes over at once.
   * Calls must not overlap. When it rejects, nothing has changed.
   */
  apply(configuration: Configuration): Promise<Change>;
}

/** How long a service that is new may take to be described by its loaders before it is routed to all the same. */
const maxPreparationMs = 10_000;

/** Puts the services of a configuration to work, and resolves when each of them was probed once. */
export async function createServiceSet(first: Configuration, environment: ServiceEnvironment): Promise<ServiceSet> {
  const begin = (plan: ServicePlan, { config }: Configuration) => serveService(plan, config.healthCheck, environment);
  const services = first.services.map((plan) => begin(plan, first));
  await Promise.all(services.map((service) => service.settled()));
  let current = servedFrom(first, services);
  return {
    get current() {
      return current;
    },
    async apply(configuration) {
      const before = new Map(current.services.map((service) => [service.target.id, service]));
      const started: ServedService[] = [];
      const start = (plan: ServicePlan): ServedService => {
        const service = begin(plan, configuration);
        started.push(service);
        return service;
      };
      try {
        const ready = await Promise.all(
          configuration.services.map((plan) => prepare(plan, before.get(plan.config.id), configuration, start)),
        );
        const next = servedFrom(
          configuration,
          ready.map((takeOver) => takeOver()),
        );
        const change = changeBetween(current.services, next.services);
        retire(current.services, next.services, started);
        current = next;
        return change;
      } catch (error) {
        for (const service of started) service[Symbol.dispose]();
        throw error;
      }
    },
    [Symbol.dispose]() {
      for (const service of current.services) service[Symbol.dispose]();
    },
  };
}

function servedFrom(configuration: Configuration, services: readonly ServedService[]): ServedConfiguration {
  const categories = routeCategories(configuration.categories, services);
  return { configuration, services, categories, route: createServiceRouter(services, categories) };
}

/** Gets one service ready; what it resolves to changes over to it, and does not fail. */
async function prepare(
  plan: ServicePlan,
  before: ServedService | undefined,
  { config }: Configuration,
  start: (plan: ServicePlan) => ServedService,
): Promise<() => ServedService> {
  // Another version is another service: what is known of endpoints is known of the version that they serve.
  if (before !== undefined && before.plan.config.version === plan.config.version) {
    return before.prepare(plan, config.healthCheck);
  }
  const service = start(plan);
  await within(service.settled(), maxPreparationMs);
  return () => service;
}

/** Ends the probes of the services that are served no more. */
function retire(
  before: readonly ServedService[],
  after: readonly ServedService[],
  started: readonly ServedService[],
): void {
  const kept = new Set(after.filter((service) => !started.includes(service)).map(({ target }) => target.id));
  for (const service of before) if (!kept.has(service.target.id)) service[Symbol.dispose]();
}

function changeBetween(before: readonly ServedService[], after: readonly ServedService[]): Change {
  const old = new Map(before.map(({ plan }) => [plan.config.id, plan]));
  const added: string[] = [];
  const changed: string[] = [];
  for (const { plan } of after) {
    const previous = old.get(plan.config.id);
    if (previous === undefined) added.push(plan.config.id);
    else if (previous !== plan) changed.push(plan.config.id);
    old.delete(plan.config.id);
  }
  return { added, removed: [...old.keys()], changed };
}
