import type { Duration } from "../../telemetry/statistics.ts";
import type { NamedStatistics } from "./models.ts";

/** A model's statistics under the protocol's names. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  readonly last_inference: number;
  readonly inference_count: number;
  readonly execution_count: number;
  readonly inference_stats: Readonly<Record<StatisticName, Duration>>;
}

type StatisticName =
  | "success"
  | "fail"
  | "queue"
  | "compute_input"
  | "compute_infer"
  | "compute_output"
  | "cache_hit"
  | "cache_miss";

/** There is no cache. */
const none: Duration = { count: 0, ns: 0 };

/** Writes statistics under the protocol's names. */
export function modelStatisticsFrom(entry: NamedStatistics): ModelStatistics {
  const { name, version, success, fail, queue, compute } = entry;
  // An engine's time is one here, and perf_analyzer wants all three to count the same calls.
  const within: Duration = { count: compute.count, ns: 0 };
  return {
    name,
    version,
    last_inference: entry.lastInferenceMs,
    inference_count: entry.inferences,
    execution_count: success.count,
    inference_stats: {
      success,
      fail,
      queue,
      compute_input: within,
      compute_infer: compute,
      compute_output: within,
      cache_hit: none,
      cache_miss: none,
    },
  };
}
