import type { GatewayConfig } from "../../config/gateway.ts";
import type { Located } from "../../config/load.ts";
import { loopsOf } from "../router/category.ts";
import type { CategoryPlan } from "./category-plan.ts";
import type { ExactRoute, ServicePlan } from "./service-plan.ts";

/** What requests can lead to. */
export interface Destinations {
  readonly services: readonly ServicePlan[];
  readonly categories: readonly CategoryPlan[];
}

/** A rule of gateway.yaml that leads to nothing is a slip of its writer. */
export function noteUnknownServices(
  { value, mistakeAt }: Located<GatewayConfig>,
  destinations: Destinations,
  mistakes: string[],
): void {
  const known = idsOf(destinations);
  for (const [index, { rules }] of value.categories.entries()) {
    for (const [at, { service }] of rules.entries()) {
      if (known.has(service)) continue;
      const message = `neither a service nor a category is called '${service}'`;
      mistakes.push(mistakeAt(["categories", index, "rules", at, "service"], message));
    }
  }
}

/** Rules of schema files that lead to nothing: files are shared between gateways that serve different services. */
export function lostRules(fromFiles: readonly CategoryPlan[], destinations: Destinations): readonly string[] {
  const known = idsOf(destinations);
  return fromFiles.flatMap(({ id, rules }) =>
    rules
      .filter(({ service }) => !known.has(service))
      .map(({ service }) => `category '${id}': its rule for '${service}' leads nowhere, as that service is not here`),
  );
}

function idsOf({ services, categories }: Destinations): ReadonlySet<string> {
  return new Set([...services.flatMap(({ ids }) => ids), ...categories.map(({ id }) => id)]);
}

/**
 * Two destinations behind one id or path of gateway.yaml would hide each other. Paths of schema files give way instead, as
 * the predecessor loaded files that had one in common; `warnings` are told of those.
 */
export function noteSharedClaims(
  { mistakeAt }: Located<GatewayConfig>,
  { services, categories }: Destinations,
  mistakes: string[],
  warnings: string[],
): void {
  const owners = new Map<string, string>();
  const claim = (owner: string, claims: readonly string[], refuse: (message: string) => void): void => {
    for (const text of new Set(claims)) {
      const other = owners.get(text);
      if (other !== undefined && other !== owner) refuse(`${text} leads to '${other}' and to '${owner}'`);
      else owners.set(text, owner);
    }
  };
  const refuseAt = (key: string) => (message: string) => mistakes.push(mistakeAt([key], message));
  for (const { config, ids, routes } of services) claim(config.id, claimsOf(ids, routes), refuseAt("services"));
  for (const { id, ids, routes } of categories) claim(id, claimsOf(ids, routes), refuseAt("categories"));
  const fromFiles = [...services.map(({ config, fileRoutes }) => ({ id: config.id, fileRoutes })), ...categories];
  for (const { id, fileRoutes } of fromFiles) {
    claim(id, claimsOf([], fileRoutes), (message) => warnings.push(`schemas: ${message}; the first has it`));
  }
}

function claimsOf(ids: readonly string[], routes: readonly ExactRoute[]): readonly string[] {
  return [
    ...ids.map((id) => `the id '${id}'`),
    ...routes.flatMap(({ path, hosts }) =>
      hosts.length === 0 ? [`the path '${path}'`] : hosts.map((host) => `the path '${path}' of host '${host}'`),
    ),
  ];
}

/** A request in a loop of categories would never reach a service. */
export function noteLoops(categories: readonly CategoryPlan[], mistakes: string[]): void {
  for (const loop of loopsOf(categories)) mistakes.push(`categories: ${loop.join(" → ")} is a loop`);
}
