import type { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import type { Load } from "../proto/metadata.ts";

/** One loader address of a service's pool, and what the gateway knows of it now. */
export interface Endpoint {
  /** The base URL, or `unix:/path`; the identity of the endpoint within its pool. */
  readonly url: string;
  /** Its share in weighted balancing; above 0. Changes only together with a new {@link Snapshot}. */
  weight: number;
  /** Calls that this gateway has under way there. */
  inFlight: number;
  /** What the loader stated last; undefined until its first answer. */
  load: Load | undefined;
  /** Calls of other gateways that the loader had then: what it stated without our own. */
  foreignCalls: number;
}

/** The endpoints that may be called now. A change of members makes a new array, so its identity keys what is derived from it. */
export type Snapshot = readonly Endpoint[];

/** What balancing may depend on beside the snapshot. */
export interface BalancingRequest {
  /** Requests with the same key belong on the same endpoint; undefined: no such wish. */
  readonly key: string | undefined;
  /** Endpoints that this request failed on already. */
  readonly tried: ReadonlySet<Endpoint>;
}

/** One piece of data lifted out of the envelope: its base64 is decoded once, and never validated as text. */
export interface LiftedPart {
  readonly name: string;
  /** The member that held the data. UNSPECIFIED where none did. */
  readonly type: PartType;
  readonly data: Uint8Array;
  /** The other members, as the caller wrote them. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** A request of the unified protocol, well-formed but not yet checked against a service. */
export interface Envelope {
  readonly header: Readonly<Record<string, unknown>>;
  readonly parameter: Readonly<Record<string, unknown>>;
  readonly payload: readonly LiftedPart[];
}

/** One request as an adapter received it, before anything of it is understood. */
export interface Call {
  readonly method: string;
  /** Path and query, as they stand in the request line. */
  target(): string;
  readonly path: string;
  /** Without its port. */
  readonly host: string;
  /** The query parameter `serviceId`. */
  readonly serviceId: string | null;
  readonly clientAddress: string;
  /** The version of the service that the caller asks for; absent or empty: whichever is served. */
  readonly version?: string;
  /** How long the caller waits; absent: as long as the service may take. */
  readonly timeoutMs?: number;
  header(name: string): string | null;
  /** Aborts when the caller hangs up. */
  readonly signal: AbortSignal;
}
