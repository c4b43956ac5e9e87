import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { errorTable, isReason, type Reason } from "../../proto/errors.ts";
import type { Endpoint } from "../types.ts";
import type { Protocol } from "./access-log.ts";
import { createSessionMetrics, type SessionMetrics } from "./session-metrics.ts";

/** How a request ended: "OK", or the reason of its error. */
export type OutcomeName = "OK" | Reason;

/** What the gateway counts. */
export interface GatewayMetrics {
  /** Counts one request, exactly once, when its answer is known. `service` is "" for one that reached none. */
  observe(service: string, outcome: OutcomeName, seconds: number): void;
  readonly sessions: SessionMetrics;
  /** Counts one question about the services, exactly once, when its answer is known. */
  observeLookup(protocol: Protocol, outcome: OutcomeName): void;
  /** Counts one reading of the configuration. */
  observeReload(outcome: "unchanged" | "applied" | "refused"): void;
  /** Drops what was counted for a service that is served no more. */
  forget(service: string): void;
  /** The Prometheus text of everything. */
  render(): Promise<string>;
  readonly contentType: string;
  /** Where further metrics register themselves. */
  readonly registry: Registry;
}

/** Tells the endpoints of every service at the moment of a scrape. */
export type EndpointSource = () => Iterable<{ readonly service: string; readonly endpoints: readonly Endpoint[] }>;

// From a cache hit to the longest that a default deadline allows, about a factor of two apart.
const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/**
 * Builds the gateway's metrics on a registry of their own. `activeSessions` tells how many sessions each service has at
 * the moment of a scrape.
 */
export function createMetrics(
  endpointSource: EndpointSource,
  activeSessions: () => ReadonlyMap<string, number> = () => new Map(),
): GatewayMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: "athena_gateway_requests_total",
    help: "Requests by service and outcome.",
    labelNames: ["service", "outcome"],
    registers: [registry],
  });
  const durations = new Histogram({
    name: "athena_gateway_request_duration_seconds",
    help: "Time from a request's first byte to its answer.",
    labelNames: ["service"],
    buckets: durationBuckets,
    registers: [registry],
  });
  const lookups = new Counter({
    name: "athena_gateway_lookups_total",
    help: "Questions about the services, such as their health, by protocol and outcome.",
    labelNames: ["protocol", "outcome"],
    registers: [registry],
  });
  addEndpointGauges(registry, endpointSource);
  const observeReload = addReloadMetrics(registry);
  const sessions = createSessionMetrics(registry, activeSessions);

  // A bound child costs half of a labelled call, on every request; the names are bounded by config and error table.
  const boundRequests = new Map<string, Counter.Internal>();
  const boundDurations = new Map<string, Histogram.Internal<"service">>();
  return {
    observe(service, outcome, seconds) {
      const key = `${service} ${outcome}`;
      let counter = boundRequests.get(key);
      if (counter === undefined) {
        counter = requests.labels(service, outcome);
        boundRequests.set(key, counter);
      }
      counter.inc();
      let histogram = boundDurations.get(service);
      if (histogram === undefined) {
        histogram = durations.labels(service);
        boundDurations.set(service, histogram);
      }
      histogram.observe(seconds);
    },
    sessions,
    observeLookup: (protocol, outcome) => lookups.inc({ protocol, outcome }),
    observeReload,
    forget(service) {
      const outcomes: readonly OutcomeName[] = ["OK", ...Object.keys(errorTable).filter(isReason)];
      for (const outcome of outcomes) {
        boundRequests.delete(`${service} ${outcome}`);
        requests.remove(service, outcome);
      }
      boundDurations.delete(service);
      durations.remove(service);
      sessions.forget(service, outcomes);
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
    registry,
  };
}

/** Says whether what is served is what the files say, and since when. */
function addReloadMetrics(registry: Registry): GatewayMetrics["observeReload"] {
  const registers = [registry];
  const reloads = new Counter({
    name: "athena_gateway_config_reloads_total",
    help: "Readings of the configuration after the first, by how they ended.",
    labelNames: ["outcome"],
    registers,
  });
  const isCurrent = new Gauge({
    name: "athena_gateway_config_current",
    help: "1 while what is served is what the files say; 0 after the last reading was refused.",
    registers,
  });
  const appliedAt = new Gauge({
    name: "athena_gateway_config_applied_timestamp_seconds",
    help: "When the configuration that is served was applied.",
    registers,
  });
  isCurrent.set(1);
  appliedAt.setToCurrentTime();
  for (const outcome of ["unchanged", "applied", "refused"]) reloads.inc({ outcome }, 0);
  return (outcome) => {
    reloads.inc({ outcome });
    isCurrent.set(outcome === "refused" ? 0 : 1);
    if (outcome === "applied") appliedAt.setToCurrentTime();
  };
}

function addEndpointGauges(registry: Registry, source: EndpointSource): void {
  const labelNames = ["service", "endpoint"] as const;
  const add = (name: string, help: string, value: (endpoint: Endpoint) => number | undefined): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        for (const { service, endpoints } of source()) {
          for (const endpoint of endpoints) {
            const current = value(endpoint);
            if (current !== undefined) this.set({ service, endpoint: endpoint.url }, current);
          }
        }
      },
    });
  };
  add("athena_gateway_in_flight", "Calls that this gateway has under way at an endpoint.", (e) => e.inFlight);
  add("athena_gateway_endpoint_slots_total", "Slots of an endpoint, as it stated last.", (e) => e.load?.total);
  add("athena_gateway_endpoint_slots_idle", "Free slots of an endpoint, as it stated last.", (e) => e.load?.idle);
  add(
    "athena_gateway_endpoint_queue_length",
    "Requests waiting at an endpoint, as it stated last.",
    (e) => e.load?.queued,
  );
}
