import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Reason } from "../../proto/errors.ts";

/** What the gateway counts of sessions. */
export interface SessionMetrics {
  /** Counts one frame that came in from a caller, or went out to it. */
  countFrame(service: string, direction: "in" | "out"): void;
  /** Counts one session, exactly once, when it has ended. `firstResultSeconds`: undefined where there was no result. */
  observe(service: string, outcome: "OK" | Reason, seconds: number, firstResultSeconds: number | undefined): void;
  /** Drops what was counted for a service; `outcomes` are all that there are. */
  forget(service: string, outcomes: readonly ("OK" | Reason)[]): void;
}

const firstResultBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
// From one sentence to a conversation of a day.
const durationBuckets = [0.1, 0.5, 1, 5, 10, 30, 60, 180, 600, 1800, 3600, 14_400, 86_400];

/** Adds the metrics of sessions to a registry. `active` is asked at every scrape. */
export function createSessionMetrics(registry: Registry, active: () => ReadonlyMap<string, number>): SessionMetrics {
  const registers = [registry];
  const sessions = new Counter({
    name: "athena_gateway_sessions_total",
    help: "Sessions that have ended, by service and outcome.",
    labelNames: ["service", "outcome"],
    registers,
  });
  const durations = new Histogram({
    name: "athena_gateway_session_duration_seconds",
    help: "Time from a session's first frame to its end.",
    labelNames: ["service"],
    buckets: durationBuckets,
    registers,
  });
  const firstResults = new Histogram({
    name: "athena_gateway_session_first_result_seconds",
    help: "Time from a session's first frame to its first result.",
    labelNames: ["service"],
    buckets: firstResultBuckets,
    registers,
  });
  const frames = new Counter({
    name: "athena_gateway_session_frames_total",
    help: "Frames of sessions, from callers (in) and to them (out).",
    labelNames: ["service", "direction"],
    registers,
  });
  new Gauge({
    name: "athena_gateway_sessions",
    help: "Sessions that run now.",
    labelNames: ["service"],
    registers,
    collect() {
      this.reset();
      for (const [service, count] of active()) this.set({ service }, count);
    },
  });
  // Bound once: a labelled call costs twice as much, and this is on every frame.
  const boundFrames = { in: new Map<string, Counter.Internal>(), out: new Map<string, Counter.Internal>() };
  return {
    countFrame(service, direction) {
      const bound = boundFrames[direction];
      let counter = bound.get(service);
      if (counter === undefined) {
        counter = frames.labels(service, direction);
        bound.set(service, counter);
      }
      counter.inc();
    },
    observe(service, outcome, seconds, firstResultSeconds) {
      sessions.inc({ service, outcome });
      durations.observe({ service }, seconds);
      if (firstResultSeconds !== undefined) firstResults.observe({ service }, firstResultSeconds);
    },
    forget(service, outcomes) {
      for (const outcome of outcomes) sessions.remove(service, outcome);
      for (const direction of ["in", "out"] as const) {
        boundFrames[direction].delete(service);
        frames.remove(service, direction);
      }
      durations.remove(service);
      firstResults.remove(service);
    },
  };
}
