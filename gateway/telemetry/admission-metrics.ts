import { Counter, Gauge, type Registry } from "prom-client";
import type { AdmissionObserver } from "../admission/admission.ts";

/** What admission's metrics are told beside its decisions. */
export interface AdmissionMetrics extends AdmissionObserver {
  /** A call of the shared store that failed although it seemed to be up. */
  storeFailed(): void;
}

/** What is read at the moment of a scrape. */
export interface AdmissionSources {
  /** Whether the shared store can be asked; undefined where there is none. */
  readonly isStoreUp: (() => boolean) | undefined;
}

/** Adds admission's metrics to a registry. Their labels are apps of the configuration and words of this code. */
export function createAdmissionMetrics(registry: Registry, { isStoreUp }: AdmissionSources): AdmissionMetrics {
  const registers = [registry];
  const decisions = new Counter({
    name: "athena_gateway_admission_total",
    help: "Requests by app and what admission decided.",
    labelNames: ["app", "decision"],
    registers,
  });
  const open = new Gauge({
    name: "athena_gateway_app_open",
    help: "Calls and sessions that an app has open at this gateway.",
    labelNames: ["app", "kind"],
    registers,
  });
  const failures = new Counter({
    name: "athena_gateway_limit_store_failures_total",
    help: "Calls of the shared limit store that failed; the local limits or a refusal stood in for them.",
    registers,
  });
  if (isStoreUp !== undefined) {
    new Gauge({
      name: "athena_gateway_limit_store_up",
      help: "1 while the shared limit store can be reached.",
      registers,
      collect() {
        this.set(isStoreUp() ? 1 : 0);
      },
    });
  }
  return {
    decided: (app, decision) => decisions.inc({ app, decision }),
    opened: (app, kind) => open.inc({ app, kind }),
    closed: (app, kind) => open.dec({ app, kind }),
    storeFailed: () => failures.inc(),
  };
}

/** Adds the gauge of what the gateway has under way. */
export function addInFlightGauge(registry: Registry, count: () => number): void {
  new Gauge({
    name: "athena_gateway_requests_in_flight",
    help: "Requests that the gateway has under way.",
    registers: [registry],
    collect() {
      this.set(count());
    },
  });
}
