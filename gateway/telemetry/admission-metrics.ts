import { Counter, Gauge, type Registry } from "prom-client";
import type { AdmissionObserver, Decision } from "../admission/admission.ts";
import type { Kind } from "../admission/limit-store.ts";

/** What admission's metrics are told beside its decisions. */
export interface AdmissionMetrics extends AdmissionObserver {
  /** A call of the shared store that failed although it seemed to be up. */
  storeFailed(): void;
  /** Takes out other apps, but for those that have something open still. */
  keepOnly(apps: ReadonlySet<string>): void;
}

/** What is read at the moment of a scrape. */
export interface AdmissionSources {
  /** Whether the shared store can be asked; undefined where there is none. */
  readonly isStoreUp: (() => boolean) | undefined;
}

const kinds: readonly Kind[] = ["call", "session"];
const decisionNames: readonly Decision[] = Object.keys({
  admitted: true,
  unauthenticated: true,
  denied: true,
  "app-mismatch": true,
  requests: true,
  bytes: true,
  calls: true,
  sessions: true,
  unavailable: true,
} satisfies Record<Decision, true>) as Decision[];

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
  const openCounts = new Map<string, number>();
  const seen = new Set<string>();
  const change = (app: string, kind: Kind, by: 1 | -1): void => {
    openCounts.set(app, (openCounts.get(app) ?? 0) + by);
    seen.add(app);
    open.inc({ app, kind }, by);
  };
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
    decided(app, decision) {
      seen.add(app);
      decisions.inc({ app, decision });
    },
    opened: (app, kind) => change(app, kind, 1),
    closed: (app, kind) => change(app, kind, -1),
    storeFailed: () => failures.inc(),
    keepOnly(apps) {
      for (const app of seen) {
        if (app === "" || apps.has(app) || (openCounts.get(app) ?? 0) > 0) continue;
        seen.delete(app);
        openCounts.delete(app);
        for (const kind of kinds) open.remove({ app, kind });
        for (const decision of decisionNames) decisions.remove({ app, decision });
      }
    },
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
