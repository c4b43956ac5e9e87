import type { InferRequest, InferResponse } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { CompiledService } from "../schema/compile.ts";

/** How often something happened, and how long it took in all. */
export interface Duration {
  readonly count: number;
  readonly ns: number;
}

/** What became of the calls of one version of a service, since this gateway started. */
export interface VersionStatistics {
  readonly version: string;
  /** Milliseconds since 1970; 0: never. */
  readonly lastInferenceMs: number;
  /** In rows, where the service has them. */
  readonly inferences: number;
  /** From the gateway's request to the loader's answer, other endpoints included. */
  readonly success: Duration;
  readonly fail: Duration;
  /** Of the successful ones, as their loaders stated it. */
  readonly queue: Duration;
  readonly compute: Duration;
}

/** Counts the calls of one service. */
export interface ServiceStatistics {
  /** Makes a call and counts it when it has ended, under the version that answered or else the one that was meant. */
  watch(
    request: InferRequest,
    service: CompiledService | undefined,
    call: () => Promise<InferResponse>,
  ): Promise<InferResponse>;
  /** By version; the one that was called last stands last. */
  read(): readonly VersionStatistics[];
}

/** What {@link createStatistics} is told. */
export interface StatisticsOptions {
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly date: () => number;
}

/** How many versions are kept: those that were called last. */
const maxVersions = 16;

type Counters = { -readonly [Key in keyof VersionStatistics]: VersionStatistics[Key] };

/** Builds the statistics of one service, all zero. */
export function createStatistics({ now, date }: StatisticsOptions): ServiceStatistics {
  const versions = new Map<string, Counters>();
  const countersOf = (version: string): Counters => {
    const counters = versions.get(version) ?? zeros(version);
    versions.delete(version);
    versions.set(version, counters);
    const [oldest] = versions.keys();
    if (versions.size > maxVersions && oldest !== undefined) versions.delete(oldest);
    return counters;
  };
  return {
    async watch(request, service, call) {
      const started = now();
      try {
        const response = await call();
        const counters = countersOf(response.version);
        counters.lastInferenceMs = date();
        counters.inferences += rowsOf(request, service);
        counters.success = add(counters.success, (now() - started) * 1e6);
        counters.queue = add(counters.queue, response.queueUs * 1e3);
        counters.compute = add(counters.compute, response.computeUs * 1e3);
        return response;
      } catch (error) {
        const counters = countersOf(request.version || (service?.version ?? ""));
        counters.fail = add(counters.fail, (now() - started) * 1e6);
        throw error;
      }
    },
    read: () => Array.from(versions.values(), (counters) => ({ ...counters })),
  };
}

/** Statistics in which nothing has happened. */
export function zeros(version: string): VersionStatistics {
  const none: Duration = { count: 0, ns: 0 };
  return { version, lastInferenceMs: 0, inferences: 0, success: none, fail: none, queue: none, compute: none };
}

function add(sum: Duration, ns: number): Duration {
  return { count: sum.count + 1, ns: sum.ns + Math.round(ns) };
}

/** The first dimension of a request's tensors, where its service computes rows together; otherwise a request is one. */
function rowsOf(request: InferRequest, service: CompiledService | undefined): number {
  if (service === undefined || service.definition.maxBatchRows === 0) return 1;
  return Number(/^\[(\d+)/.exec(request.parts[0]?.attributes.shape ?? "")?.[1] ?? 1);
}
