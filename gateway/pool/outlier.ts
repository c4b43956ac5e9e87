import type { Reason } from "../../proto/errors.ts";
import type { Endpoint } from "../types.ts";

/** How endpoints are judged by the calls that reach them. */
export interface OutlierOptions {
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Numbers in [0, 1), so that gateways do not readmit an endpoint all at the same moment. */
  readonly random: () => number;
  /** Broken connections in a row that eject; 3 unless told, since one alone may be a stale keep-alive connection. */
  readonly consecutiveFailures?: number;
  /** The length of a first ejection; 1,000 ms unless told. Each that follows closely is twice as long. */
  readonly baseEjectionMs?: number;
  /** The longest ejection, and how long an endpoint must hold out for its next one to be short again; 30,000 ms. */
  readonly maxEjectionMs?: number;
  /** The part of the members that may be ejected at once, at least one of them; 0.5 unless told. */
  readonly maxEjectedFraction?: number;
}

/** Judges endpoints by their calls: those that fail are ejected for a while. */
export interface OutlierDetector {
  /** A call that began at `startedAt` was answered. */
  succeeded(endpoint: Endpoint, startedAt: number): void;
  /** A call failed; `memberCount` is the size of the pool. Reasons that are not the endpoint's fault are ignored. */
  failed(endpoint: Endpoint, reason: Reason, memberCount: number): void;
  /** Ends an ejection before its time, because a probe was answered. */
  readmit(endpoint: Endpoint): void;
  forget(endpoint: Endpoint): void;
  isEjected(endpoint: Endpoint): boolean;
  /** Changes whenever an endpoint is ejected, readmitted or forgotten, the passing of time apart. */
  readonly version: number;
  /** When the next ejection ends by time; infinity when there is none. */
  nextReadmission(): number;
}

/** Which reasons speak against an endpoint: one that ejects `at once`, or one of several that are `counted`. */
const evidence: { readonly [reason in Reason]?: "at once" | "counted" } = {
  ENDPOINT_UNREACHABLE: "at once",
  // The endpoint says itself that it will refuse the next call too.
  DRAINING: "at once",
  SERVICE_NOT_READY: "at once",
  ENDPOINT_LOST: "counted",
};

interface History {
  failures: number;
  /** How many ejections followed closely on each other. */
  ejections: number;
  ejectedAt: number;
  ejectedUntil: number;
}

/** Builds the judge of one pool. Time moves only through `now`: it keeps no timers. */
export function createOutlierDetector(options: OutlierOptions): OutlierDetector {
  const { now, random, consecutiveFailures = 3, baseEjectionMs = 1000 } = options;
  const { maxEjectionMs = 30_000, maxEjectedFraction = 0.5 } = options;
  const records = new Map<Endpoint, History>();
  let version = 0;

  const isOut = (record: History): boolean => record.ejectedUntil > now();
  const release = (record: History): void => {
    record.ejectedUntil = now();
    record.failures = 0;
    version += 1;
  };
  const mayEject = (memberCount: number): boolean => {
    const ejected = [...records.values()].filter(isOut).length;
    return ejected < Math.max(1, Math.floor(memberCount * maxEjectedFraction));
  };
  const eject = (record: History): void => {
    const heldOut = now() - record.ejectedUntil >= maxEjectionMs;
    record.ejections = heldOut ? 1 : record.ejections + 1;
    const fullMs = Math.min(maxEjectionMs, baseEjectionMs * 2 ** (record.ejections - 1));
    record.ejectedAt = now();
    record.ejectedUntil = now() + fullMs * (1 - random() / 4);
    record.failures = 0;
    version += 1;
  };

  return {
    succeeded(endpoint, startedAt) {
      const record = records.get(endpoint);
      if (record === undefined) return;
      record.failures = 0;
      // A call from before the ejection says nothing about whether new ones get through.
      if (isOut(record) && startedAt >= record.ejectedAt) release(record);
    },
    failed(endpoint, reason, memberCount) {
      const kind = evidence[reason];
      if (kind === undefined) return;
      const record = records.get(endpoint) ?? newHistory();
      records.set(endpoint, record);
      // The calls that were under way when it was ejected fail too; they must not make its absence longer.
      if (isOut(record)) return;
      record.failures += 1;
      const isGuilty = kind === "at once" || record.failures >= consecutiveFailures;
      if (isGuilty && mayEject(memberCount)) eject(record);
    },
    readmit(endpoint) {
      const record = records.get(endpoint);
      if (record !== undefined && isOut(record)) release(record);
    },
    forget(endpoint) {
      if (records.delete(endpoint)) version += 1;
    },
    isEjected(endpoint) {
      const record = records.get(endpoint);
      return record !== undefined && isOut(record);
    },
    get version() {
      return version;
    },
    nextReadmission() {
      const ends = [...records.values()].filter(isOut).map((record) => record.ejectedUntil);
      return Math.min(Number.POSITIVE_INFINITY, ...ends);
    },
  };
}

function newHistory(): History {
  return { failures: 0, ejections: 0, ejectedAt: 0, ejectedUntil: Number.NEGATIVE_INFINITY };
}
