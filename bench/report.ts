import type { Result } from "./recorder.ts";

const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));

/** The result as a table for a person. */
export function tableFromResult(result: Result): string {
  const { latencyMs } = result;
  const outcomes = Object.entries(result.outcomes).sort(([, a], [, b]) => b - a);
  return [
    `right answers/s  ${digits(result.throughput)}   over ${result.seconds.toFixed(1)} s`,
    `latency ms       p50 ${digits(latencyMs.p50)}   p90 ${digits(latencyMs.p90)}   p99 ${digits(latencyMs.p99)}   ` +
      `p99.9 ${digits(latencyMs.p999)}   max ${digits(latencyMs.max)}   mean ${digits(latencyMs.mean)}`,
    `outcomes         ${outcomes.map(([name, count]) => `${name}: ${count}`).join("   ")}`,
  ].join("\n");
}
