import type { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import type { Load } from "../proto/metadata.ts";
import type { Datatype } from "../proto/tensor.ts";

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
  /**
   * Whether its values came as texts, as in protobuf messages, where the number 3 is "3": they are checked as what their
   * schemas make of them. False unless told.
   */
  readonly isText?: boolean;
  /** Personal resources that it names beside its header. */
  readonly resourceIds?: readonly number[];
  /** As the request to loaders has it; 0 unless told. */
  readonly priority?: number;
}

/** Where a frame stands in its session: it begins it, goes on, ends its input, or is all of it. */
export type Place = 0 | 1 | 2 | 3;

/** One frame of a session's input, as an adapter received it. The first opens the session, the others are its chunks. */
export interface SessionFrame<Request = Envelope> {
  readonly envelope: Request;
  /** Undefined: the input ends where the frames do, or where every input that was seen says so in its own attributes. */
  readonly place?: Place | undefined;
  /** Counted from the opening's 1, for a caller whose chunks may come out of order; undefined: in order of arrival. */
  readonly sequence?: number | undefined;
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

/** The named scalars of a request of the Open Inference Protocol. A whole number beyond a double's 53 bits is a bigint. */
export type TensorParameters = Readonly<Record<string, string | number | bigint | boolean>>;

/** One tensor of a request, complete but not yet checked against a service. */
export interface InputTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly parameters: TensorParameters;
  /** The elements as proto/tensor.ts has them; perhaps fewer or more than the shape says. */
  readonly data: Uint8Array;
}

/** One output that a caller asks for. */
export interface OutputWish {
  readonly name: string;
  readonly parameters: TensorParameters;
  /** Whether it is wanted as raw elements, not as JSON. */
  readonly binary: boolean;
}

/** A request of the Open Inference Protocol, well-formed but not yet checked against a service. */
export interface TensorRequest {
  /** The caller's app, once admission has named it. */
  readonly header: Readonly<Record<string, unknown>>;
  /** Echoed in the answer; "" for none. */
  readonly id: string;
  /** Scalars, as the protocol has them; those of `generate` may be any JSON. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly inputs: readonly InputTensor[];
  /** The data of the service's only input, which says nothing about itself; `inputs` is empty then. */
  readonly rawInput: Uint8Array | undefined;
  /** Undefined: every output of the service. */
  readonly outputs: readonly OutputWish[] | undefined;
  /** Whether outputs that the caller did not name are wanted as raw elements. */
  readonly binaryOutputs: boolean;
  /** As the request to loaders has it. */
  readonly priority: number;
  /** How long the caller waits; undefined: as long as the service may take. */
  readonly timeoutMs: number | undefined;
}
