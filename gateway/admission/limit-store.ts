import type { Rate } from "./rate.ts";

/** What of a request's share was used up when it was refused. */
export type LimitName = "requests" | "bytes" | "calls" | "sessions";

/** What is held open: a call until its answer, a session until its end. */
export type Kind = "call" | "session";

/** The share that one request asks for. What is undefined is not limited. */
export interface Share {
  readonly app: string;
  readonly kind: Kind;
  readonly requests: Rate | undefined;
  readonly bytes: Rate | undefined;
  /** Bytes that are known to come; 0 where that is not known yet. */
  readonly byteCount: number;
  /** How many of this kind the app may hold open at once. */
  readonly maxOpen: number | undefined;
}

/** A share that was granted, until it is disposed of; or which limit was in the way, and for how long. */
export type Verdict = Disposable | Refusal;

/** Why a share was not granted. */
export interface Refusal {
  readonly limit: LimitName;
  /** Milliseconds after which it may be granted; 0 where nobody can tell. */
  readonly waitMs: number;
}

/** Tells whether anything of a share is limited: if not it is granted, and only counted for the case that a limit comes. */
export function isLimited({ requests, bytes, maxOpen }: Share): boolean {
  return (requests ?? bytes ?? maxOpen) !== undefined;
}

/** Tells a refusal from a granted share. */
export function isRefusal(verdict: Verdict): verdict is Refusal {
  return "limit" in verdict;
}

/**
 * Keeps what apps use of their limits. A share is granted whole or not at all, and a refused one costs nothing. Limits
 * come with each request, so a store knows no configuration.
 */
export interface LimitStore {
  take(share: Share): Verdict | Promise<Verdict>;
  /** Charges bytes that came after their share was taken. Milliseconds to wait, and nothing charged; 0: charged. */
  spend(app: string, rate: Rate, bytes: number): number | Promise<number>;
}

/** Remembers which signatures were used. */
export interface ReplayStore {
  /**
   * Notes a use of a signature and keeps that for `keepMs`. Gives the milliseconds since its first use, or undefined
   * when this is the first.
   *
   * @throws ServingError ADMISSION_UNAVAILABLE when no more can be remembered for this key.
   */
  firstUse(key: string, signature: string, keepMs: number): number | undefined | Promise<number | undefined>;
}
