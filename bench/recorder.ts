import { build, type Histogram } from "hdr-histogram-js";

/** What a run measured. */
export interface Result {
  readonly seconds: number;
  /** Answers of each kind: "200", "429 10110", "wrong answer", "connection failed", "dropped". */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Right answers each second. */
  readonly throughput: number;
  /** Milliseconds from the moment a request was meant to leave, right answers only. */
  readonly latencyMs: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
    readonly mean: number;
  };
}

/** Collects outcomes and latencies. */
export interface Recorder {
  /** `latencyMs` is counted for right answers, which are those of outcome "200". */
  record(outcome: string, latencyMs: number): void;
  finish(seconds: number): Result;
}

/** Builds an empty recorder: an HDR histogram of microseconds up to ten minutes, to three digits. */
export function createRecorder(): Recorder {
  const histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 600_000_000,
    numberOfSignificantValueDigits: 3,
  });
  const outcomes: Record<string, number> = {};
  return {
    record(outcome, latencyMs) {
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (outcome === "200") histogram.recordValue(Math.max(1, Math.round(latencyMs * 1000)));
    },
    finish(seconds) {
      const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1000;
      return {
        seconds,
        outcomes,
        throughput: (outcomes["200"] ?? 0) / seconds,
        latencyMs: {
          p50: at(50),
          p90: at(90),
          p99: at(99),
          p999: at(99.9),
          max: histogram.maxValue / 1000,
          mean: histogram.mean / 1000,
        },
      };
    },
  };
}
