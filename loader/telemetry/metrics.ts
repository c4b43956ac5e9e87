import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Load } from "../../proto/metadata.ts";
import type { CallOutcome } from "../service/inference.ts";

/** What a loader counts. */
export interface LoaderMetrics {
  /** Counts one call, exactly once, when it has ended. */
  observe(service: string, outcome: CallOutcome, durationMs: number): void;
  observeWait(service: string, waitMs: number): void;
  /** Counts one group of calls that was computed together. */
  observeBatch(service: string, rows: number): void;
  /** Adds to what a service's own code counts; what is not above 0 is not added. */
  countMeter(service: string, key: string, count: number): void;
  /** The Prometheus text of everything. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** What is told of one service at the moment of a scrape. */
export interface ServiceFigures {
  readonly service: string;
  readonly load: Load;
  /** Undefined for a service that takes no personal resources. */
  readonly resources: readonly { readonly bytes: number }[] | undefined;
}

/** Tells how busy each service is at the moment of a scrape. */
export type LoadSource = () => Iterable<ServiceFigures>;

const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Builds a loader's metrics on a registry of their own. */
export function createMetrics(loadSource: LoadSource): LoaderMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Counter({
    name: "athena_loader_requests_total",
    help: "Calls by service and outcome.",
    labelNames: ["service", "outcome"],
    registers: [registry],
  });
  const durations = histogram(
    registry,
    "athena_loader_request_duration_seconds",
    "Time from a call's arrival to its answer.",
  );
  const waits = histogram(registry, "athena_loader_queue_wait_seconds", "Time that a call waited for a slot.");
  const batches = new Histogram({
    name: "athena_loader_batch_rows",
    help: "Rows that were computed together.",
    labelNames: ["service"],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers: [registry],
  });
  addLoadGauges(registry, loadSource);
  const meters = createMeters(registry);
  return {
    observe(service, outcome, durationMs) {
      requests.inc({ service, outcome });
      durations.observe({ service }, durationMs / 1000);
    },
    observeWait: (service, waitMs) => waits.observe({ service }, waitMs / 1000),
    observeBatch: (service, rows) => batches.observe({ service }, rows),
    countMeter: meters,
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** Keys of one service that are told apart; user code chooses them, and each is a time series for ever. */
const maxMeterKeys = 100;
const maxMeterKeyLength = 64;

function createMeters(registry: Registry): LoaderMetrics["countMeter"] {
  const meters = new Counter({
    name: "athena_loader_wrapper_meter_total",
    help: "What a service's own code counts, by its keys; those beyond the first 100 are 'other'.",
    labelNames: ["service", "key"],
    registers: [registry],
  });
  const known = new Map<string, Set<string>>();
  return (service, key, count) => {
    if (count <= 0) return;
    const keys = known.getOrInsertComputed(service, () => new Set());
    const shown = key.slice(0, maxMeterKeyLength);
    const isKnown = keys.has(shown) || keys.size < maxMeterKeys;
    if (isKnown) keys.add(shown);
    meters.inc({ service, key: isKnown ? shown : "other" }, count);
  };
}

function histogram(registry: Registry, name: string, help: string): Histogram<"service"> {
  return new Histogram({ name, help, labelNames: ["service"], buckets: durationBuckets, registers: [registry] });
}

function addLoadGauges(registry: Registry, source: LoadSource): void {
  const add = (name: string, help: string, value: (figures: ServiceFigures) => number | undefined): void => {
    new Gauge({
      name,
      help,
      labelNames: ["service"],
      registers: [registry],
      collect() {
        // A service that was unloaded is not told about any more.
        this.reset();
        for (const figures of source()) {
          const figure = value(figures);
          if (figure !== undefined) this.set({ service: figures.service }, figure);
        }
      },
    });
  };
  add("athena_loader_slots_total", "Calls that a service computes at once.", ({ load }) => load.total);
  add("athena_loader_slots_idle", "Slots that are free.", ({ load }) => load.idle);
  add("athena_loader_queue_length", "Calls that wait for a slot.", ({ load }) => load.queued);
  add("athena_loader_queue_wait_estimate_seconds", "How long a new call would wait.", ({ load }) => load.waitMs / 1000);
  add("athena_loader_resources", "Personal resources that are loaded.", ({ resources }) => resources?.length);
  add("athena_loader_resource_bytes", "Bytes of the personal resources that are loaded.", ({ resources }) =>
    resources?.reduce((sum, { bytes }) => sum + bytes, 0),
  );
}
