import type { SessionObserver } from "../session-meter.ts";
import type { AccessLog, AccessLogEntry, LookupLogEntry } from "./access-log.ts";
import type { GatewayMetrics } from "./metrics.ts";

/** Told of everything that a public port was asked, once for each: one line of the access log, one increment of one counter. */
export interface Outcomes {
  /** A once-call, or what was meant as one. */
  readonly observe: (exchange: AccessLogEntry) => void;
  readonly sessionObserver: SessionObserver;
  /** A question about the services, which runs none of them. */
  readonly observeLookup: (lookup: LookupLogEntry) => void;
}

/** Joins the metrics and the access log, where there is one. */
export function createOutcomes(metrics: GatewayMetrics, accessLog: AccessLog | undefined): Outcomes {
  return {
    observe(exchange) {
      metrics.observe(exchange.service, exchange.outcome, exchange.durationMs / 1000);
      accessLog?.write(exchange);
    },
    sessionObserver: {
      onFrame: metrics.sessions.countFrame,
      onEnd(report) {
        const firstResultSeconds = report.firstResultMs === undefined ? undefined : report.firstResultMs / 1000;
        metrics.sessions.observe(report.service, report.outcome, report.durationMs / 1000, firstResultSeconds);
        accessLog?.writeSession(report);
      },
    },
    observeLookup(lookup) {
      metrics.observeLookup(lookup.protocol, lookup.outcome);
      accessLog?.writeLookup(lookup);
    },
  };
}
