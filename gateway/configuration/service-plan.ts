import { isDeepStrictEqual } from "node:util";
import type { ServiceConfig } from "../../config/gateway.ts";
import { createOverlay, type Overlay } from "../schema/predecessor/overlay.ts";
import type { SchemaFile } from "../schema/predecessor/schema-file.ts";

/** HTTP statuses by error code, for the codes that a service answers with another status than usual. */
export type CodeMap = ReadonlyMap<number, number>;

/** An exact path, and the hosts for which it holds, in lower case; none: every host. */
export interface ExactRoute {
  readonly path: string;
  readonly hosts: readonly string[];
}

/** One service as it is to be served: what gateway.yaml and, where there is one, its schema file say. */
export interface ServicePlan {
  readonly config: ServiceConfig;
  readonly file: SchemaFile | undefined;
  /** The most milliseconds that a request may take, other endpoints included. */
  readonly timeoutMs: number;
  /** What ends a session that does not end by itself, in milliseconds. */
  readonly session: { readonly idleTimeoutMs: number; readonly totalTimeoutMs: number };
  readonly codeMap: CodeMap;
  /** The ids that paths may end in: its own, and that by which its schema file knows it. */
  readonly ids: readonly string[];
  readonly routes: readonly ExactRoute[];
  /** Those of its schema file. */
  readonly fileRoutes: readonly ExactRoute[];
  /** Undefined: what its loaders tell holds. */
  readonly overlay: Overlay | undefined;
}

const defaultTimeoutMs = 60_000;
const defaultIdleTimeoutMs = 15_000;
const hourMs = 3_600_000;
/** As much as gateway.yaml allows: schema files may say weeks. */
const dayMs = 86_400_000;

/**
 * Joins the two sources; where both are what they were, the plan is the previous one. What gateway.yaml says of the timeout and of a code outweighs the file; the routes of both hold.
 *
 * @throws Error for a file whose names are out of bounds, or whose schema nests too deep.
 */
export function planService(config: ServiceConfig, file: SchemaFile | undefined, previous?: ServicePlan): ServicePlan {
  if (previous !== undefined && previous.file === file && isDeepStrictEqual(previous.config, config)) return previous;
  const codes = Object.entries({ ...file?.codeMap, ...config.codeMap }).filter(([, status]) => mayCarryBody(status));
  return {
    config,
    file,
    timeoutMs: config.timeoutMs ?? Math.min(file?.sessionTimeoutMs ?? defaultTimeoutMs, hourMs),
    session: {
      idleTimeoutMs: config.session.idleTimeoutMs ?? readTimeoutOf(file) ?? defaultIdleTimeoutMs,
      totalTimeoutMs: config.session.totalTimeoutMs ?? Math.min(file?.sessionTimeoutMs ?? hourMs, dayMs),
    },
    codeMap: new Map(codes.map(([code, status]) => [Number(code), status])),
    ids: file === undefined || file.serviceId === config.id ? [config.id] : [config.id, file.serviceId],
    routes: exactRoutesFrom(config.routes, config.hosts),
    fileRoutes: exactRoutesFrom(file?.routes ?? [], file?.hosts ?? []),
    overlay: file === undefined ? undefined : createOverlay(file, config.id),
  };
}

/** The predecessor took five seconds and less for nothing said. */
function readTimeoutOf(file: SchemaFile | undefined): number | undefined {
  const { readTimeoutMs } = file ?? {};
  return readTimeoutMs === undefined || readTimeoutMs <= 5000 ? undefined : Math.min(readTimeoutMs, dayMs);
}

/** Whether an answer with this HTTP status may have the body that tells what is wrong. */
export function mayCarryBody(status: number): boolean {
  return status >= 200 && status !== 204 && status !== 205 && status !== 304;
}

/** The exact routes of a list in which paths without hosts of their own hold for `hosts`. */
export function exactRoutesFrom(
  routes: readonly (string | ExactRoute)[],
  hosts: readonly string[],
): readonly ExactRoute[] {
  return routes.map((route) => (typeof route === "string" ? { path: route, hosts } : route));
}
