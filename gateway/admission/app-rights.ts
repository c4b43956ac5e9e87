import type { AppConfig } from "../../config/read-admission.ts";
import { createRate, type Rate } from "./rate.ts";

/** One app of the configuration, ready to be asked. */
export interface App {
  readonly id: string;
  /** Whether it may call a service. */
  mayCall(service: string): boolean;
  /** Whether it may load and unload a service. */
  mayControl(service: string): boolean;
  /** undefined: not limited. */
  readonly requests: Rate | undefined;
  readonly bytes: Rate | undefined;
  readonly maxCalls: number | undefined;
  readonly maxSessions: number | undefined;
  /** The highest priority that its requests get. */
  readonly maxPriority: number;
}

/** Makes an app of its configuration. */
export function appFromConfig(config: AppConfig): App {
  const { limits } = config;
  const mayCall = matcherOf(config.services);
  return {
    id: config.id,
    mayCall,
    mayControl: (service) => config.modelControl && mayCall(service),
    requests: rateFrom(limits.requestsPerSecond, limits.requestBurst),
    bytes: rateFrom(limits.bytesPerSecond, limits.byteBurst),
    maxCalls: limits.concurrentCalls,
    maxSessions: limits.concurrentSessions,
    // What a request has that says nothing: no app goes before the others unless somebody meant it to.
    maxPriority: limits.maxPriority ?? 0,
  };
}

function rateFrom(perSecond: number | undefined, burst: number | undefined): Rate | undefined {
  if (perSecond === undefined) return undefined;
  return createRate(perSecond, burst ?? Math.max(1, Math.floor(perSecond)));
}

/** Tells whether a service's id is one of the patterns, in which `*` stands for any run of characters. */
function matcherOf(patterns: readonly string[]): (service: string) => boolean {
  if (patterns.includes("*")) return () => true;
  const exact = new Set(patterns);
  const wild = patterns.filter((pattern) => pattern.includes("*")).map((pattern) => pattern.split("*"));
  return (service) => exact.has(service) || wild.some((pieces) => matches(pieces, service));
}

/** Takes the leftmost place of each piece in turn, which finds a match where there is one and never goes back. */
function matches(pieces: readonly string[], text: string): boolean {
  const first = pieces[0] ?? "";
  const last = pieces.at(-1) ?? "";
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let from = first.length;
  const end = text.length - last.length;
  for (const piece of pieces.slice(1, -1)) {
    const at = text.indexOf(piece, from);
    if (at === -1 || at + piece.length > end) return false;
    from = at + piece.length;
  }
  return true;
}
