import { createCategoryTarget } from "./category-target.ts";
import type { CategoryPlan } from "./configuration/category-plan.ts";
import type { ServicePlan } from "./configuration/service-plan.ts";
import type { ServiceTarget } from "./pipeline.ts";
import { createRouter, type Router } from "./router/router.ts";

/** A service to route to. */
export interface RoutedService {
  readonly plan: Pick<ServicePlan, "ids" | "routes" | "fileRoutes">;
  readonly target: ServiceTarget;
}

/** A category to route to. */
export interface RoutedCategory {
  readonly plan: CategoryPlan;
  readonly target: ServiceTarget;
}

/** Puts categories in front of services. */
export function routeCategories(
  plans: readonly CategoryPlan[],
  services: readonly RoutedService[],
): readonly RoutedCategory[] {
  const byId = new Map<string, ServiceTarget>();
  const categories = plans.map((plan) => ({ plan, target: createCategoryTarget(plan, (id) => byId.get(id)) }));
  for (const { plan, target } of categories) byId.set(plan.id, target);
  for (const { plan, target } of services) for (const id of plan.ids) byId.set(id, target);
  return categories;
}

/** Builds the router of services and categories. Where a path is claimed twice, gateway.yaml outweighs schema files. */
export function createServiceRouter(
  services: readonly RoutedService[],
  categories: readonly RoutedCategory[],
): Router<ServiceTarget> {
  const all = [...services, ...categories];
  return createRouter([
    ...categories.map(({ plan, target }) => ({ ids: [], paths: [], firstPaths: plan.firstPaths, target })),
    ...all.map(({ plan, target }) => ({ ids: plan.ids, paths: plan.routes, target })),
    ...all.map(({ plan, target }) => ({ ids: [], paths: plan.fileRoutes, target })),
  ]);
}
