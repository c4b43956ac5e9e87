import type { ConnectRouter } from "@connectrpc/connect";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";
import type { Admission, Caller } from "../admission/admission.ts";
import { answererFor } from "./known-caller.ts";
import { holdCallOpen } from "./rpc-call.ts";

/** What the health-checking protocol tells from. */
export interface HealthSources {
  readonly isDraining: () => boolean;
  /** Whether a service can be called; undefined for a name that is none. */
  readonly isReady: (service: string) => boolean | undefined;
  /** The ids of the services that the gateway has now. */
  readonly serviceIds: () => readonly string[];
  readonly admission: Admission;
}

/** Of one port at once; clients ask again by themselves. */
const maxWatchers = 1024;
/** How soon a watcher is told of a change, in milliseconds. */
const lookIntervalMs = 500;
/** Of one answer, as other servers of the protocol have it; more are an error and not a part of them. */
const maxListed = 100;

/**
 * Adds gRPC's health-checking protocol: of each service by its id, and of the gateway under the empty name. The list names
 * services, and so those alone that its caller may call.
 */
export function addHealthService(router: ConnectRouter, sources: HealthSources): void {
  const { isDraining } = sources;
  const answer = answererFor(sources.admission);
  let watchers = 0;
  const statusOf = (service: string): ServingStatus => statusFrom(sources, service);
  router.service(Health, {
    check({ service }) {
      const status = statusOf(service);
      if (status !== ServingStatus.SERVICE_UNKNOWN) return { status };
      throw connectErrorFrom(new ServingError("SERVICE_NOT_FOUND", `service '${service.slice(0, 64)}' not found`));
    },
    async *watch({ service }, context) {
      if (watchers >= maxWatchers) {
        throw connectErrorFrom(new ServingError("GATEWAY_BUSY", `health is watched ${watchers} times already`));
      }
      watchers += 1;
      try {
        holdCallOpen(context);
        let told: ServingStatus | undefined;
        while (!context.signal.aborted) {
          // A drain that begins behind this look is told by the next.
          const isLast = isDraining();
          const status = statusOf(service);
          if (status !== told) yield { status };
          told = status;
          if (isLast) return;
          await pause(context.signal);
        }
      } finally {
        watchers -= 1;
      }
    },
    list: (_, context) => answer(context, (caller) => listFor(caller, sources)),
  });
}

function statusFrom({ isDraining, isReady }: HealthSources, service: string): ServingStatus {
  const ready = service === "" ? true : isReady(service);
  if (ready === undefined) return ServingStatus.SERVICE_UNKNOWN;
  return ready && !isDraining() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}

function listFor({ mayCall }: Caller, sources: HealthSources) {
  const listed = sources.serviceIds().filter(mayCall);
  if (listed.length > maxListed) {
    throw new ServingError(
      "PAYLOAD_TOO_LARGE",
      `there are ${listed.length} services, and health lists at most ${maxListed}`,
    );
  }
  const statuses = ["", ...listed].map((service) => [service, { status: statusFrom(sources, service) }]);
  return { statuses: Object.fromEntries(statuses) };
}

/** Until the next look, or the end of the call. */
async function pause(signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, lookIntervalMs);
  const onAbort = (): void => over.resolve();
  signal.addEventListener("abort", onAbort, { once: true });
  await over.promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", onAbort);
}
