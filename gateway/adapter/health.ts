import type { ConnectRouter } from "@connectrpc/connect";
import { connectErrorFrom } from "../../proto/connect-error.ts";
import { ServingError } from "../../proto/errors.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../proto/gen/grpc/health/v1/health_pb.ts";

/** What the health-checking protocol tells from. */
export interface HealthSources {
  readonly isDraining: () => boolean;
  /** Whether a service can be called; undefined for a name that is none. */
  readonly isReady: (service: string) => boolean | undefined;
}

/** Adds gRPC's health-checking protocol: of each service by its id, and of the gateway under the empty name. */
export function addHealthService(router: ConnectRouter, { isDraining, isReady }: HealthSources): void {
  router.service(Health, {
    check({ service }) {
      const ready = service === "" ? true : isReady(service);
      if (ready === undefined) {
        throw connectErrorFrom(new ServingError("SERVICE_NOT_FOUND", `service '${service.slice(0, 64)}' not found`));
      }
      return { status: ready && !isDraining() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
    },
  });
}
