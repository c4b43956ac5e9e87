import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { ServingError } from "../../../proto/errors.ts";
import {
  CatalogService,
  type LoadReport,
  LoadReportSchema,
  ServiceState,
} from "../../../proto/gen/athena/v1/service_pb.ts";
import type { ServiceStatus } from "../../admin/server.ts";
import { type Admission, assertMayCall } from "../../admission/admission.ts";
import type { CompiledService } from "../../schema/compile.ts";
import type { Endpoint } from "../../types.ts";
import { answererFor } from "../known-caller.ts";

/** A service as the catalog sees it. */
export interface CatalogEntry {
  readonly target: { readonly id: string; compiled(version?: string): CompiledService | undefined };
  readonly pool: { endpoints(): readonly Pick<Endpoint, "load">[] };
  status(): ServiceStatus;
}

/** What the catalog is told from. */
export interface CatalogServiceOptions {
  /** Those that the gateway has now. */
  readonly services: () => readonly CatalogEntry[];
  readonly admission: Admission;
}

/** Adds athena.v1's catalog to a port: what the services are and take that an app may call. */
export function addCatalog(router: ConnectRouter, { services, admission }: CatalogServiceOptions): void {
  const answer = answererFor(admission);
  router.service(CatalogService, {
    listServices: (_, context) =>
      answer(context, ({ mayCall }) => ({
        services: services()
          .filter(({ target }) => mayCall(target.id))
          .map(listed),
      })),
    describeService: ({ service, version }, context) =>
      answer(context, (caller) => {
        assertMayCall(caller, service);
        const entry = services().find(({ target }) => target.id === service);
        if (entry === undefined) throw notFound(service);
        const compiled = entry.target.compiled(version);
        if (compiled === undefined) throw notFound(service, version, entry);
        return { definition: compiled.definition, state: stateOf(entry), load: loadOf(entry) };
      }),
  });
}

function listed(entry: CatalogEntry) {
  const { reason = "" } = entry.status();
  const version = entry.target.compiled()?.version ?? "";
  return { id: entry.target.id, version, state: stateOf(entry), reason, load: loadOf(entry) };
}

function stateOf(entry: CatalogEntry): ServiceState {
  if (entry.status().ready) return ServiceState.READY;
  return entry.target.compiled() === undefined ? ServiceState.LOADING : ServiceState.FAILED;
}

/** What the service's loaders stated last, together; the wait is that at the one that has least of it. */
function loadOf({ target, pool }: CatalogEntry): LoadReport {
  const report = create(LoadReportSchema, { service: target.id });
  const loads = pool.endpoints().flatMap(({ load }) => load ?? []);
  for (const { total, best, idle, queued } of loads) {
    report.slotsTotal += total;
    report.slotsBest += best;
    report.slotsIdle += idle;
    report.queueLength += queued;
  }
  report.estimatedWaitMs = loads.length === 0 ? 0 : Math.min(...loads.map(({ waitMs }) => waitMs));
  return report;
}

function notFound(service: string, version = "", entry?: CatalogEntry): ServingError {
  const name = service.slice(0, 64);
  if (entry === undefined) return new ServingError("SERVICE_NOT_FOUND", `service '${name}' not found`);
  if (entry.target.compiled() === undefined) {
    return new ServingError("SERVICE_NOT_READY", `service '${name}' is not ready: no loader has described it yet`);
  }
  return new ServingError("SERVICE_NOT_FOUND", `service '${name}' has no version '${version.slice(0, 64)}'`);
}
