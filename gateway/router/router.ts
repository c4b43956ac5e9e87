import { ServingError } from "../../proto/errors.ts";

/** Which requests belong to one service. */
export interface Route<Target> {
  /** The ids that a path may end in. */
  readonly ids: readonly string[];
  /** Exact paths beside those, each with the hosts, in lower case, for which it holds; none: every host. */
  readonly paths: readonly { readonly path: string; readonly hosts: readonly string[] }[];
  /** Exact paths of every host that come before the ids of all; absent: none. */
  readonly firstPaths?: readonly string[];
  readonly target: Target;
}

/** What a route is found by. */
export interface RouteQuery {
  readonly path: string;
  /** Without its port, in any case. */
  readonly host: string;
  /** The query parameter `serviceId`, which stands in for the last segment of the path. */
  readonly serviceId: string | null;
}

/** Finds the target of a request. A pure function of the routes that it was made from. */
export type Router<Target> = (query: RouteQuery) => Target;

/**
 * Builds a router. The order is the predecessor's: the exact paths that come first, then the service's id (the query
 * parameter `serviceId`, else the last segment of the path, so `/mmocr` and `/v1/private/mmocr` are one service), then the
 * exact path of a host, then the exact path. Of two routes that claim the same the first has it.
 *
 * The router throws ServingError SERVICE_NOT_FOUND, which names what was asked for.
 */
export function createRouter<Target>(routes: readonly Route<Target>[]): Router<Target> {
  const byId = new Map<string, Target>();
  const byHostAndPath = new Map<string, Target>();
  const byFirstPath = new Map<string, Target>();
  for (const route of routes) {
    const claim = (map: Map<string, Target>, key: string) => map.has(key) || map.set(key, route.target);
    for (const id of route.ids) claim(byId, id);
    for (const path of route.firstPaths ?? []) claim(byFirstPath, path);
    for (const { path, hosts } of route.paths) {
      for (const host of hosts.length === 0 ? [""] : hosts) claim(byHostAndPath, host + path);
    }
  }
  return (query) => {
    const serviceId = query.serviceId ?? lastSegment(query.path);
    const target =
      byFirstPath.get(query.path) ??
      byId.get(serviceId) ??
      byHostAndPath.get(query.host.toLowerCase() + query.path) ??
      byHostAndPath.get(query.path);
    if (target === undefined) {
      throw new ServingError("SERVICE_NOT_FOUND", `service '${serviceId.slice(0, 64)}' not found`);
    }
    return target;
  };
}

function lastSegment(path: string): string {
  const end = path.endsWith("/") ? path.length - 1 : path.length;
  return path.slice(path.lastIndexOf("/", end - 1) + 1, end);
}
