import { create } from "@bufbuild/protobuf";
import { ServingError } from "../../../proto/errors.ts";
import {
  type InferParameter,
  InferParameterSchema,
  type ModelInferRequest,
  type ModelStreamInferResponse,
} from "../../../proto/gen/inference/grpc_service_pb.ts";
import type { InboxLimits } from "../websocket/inbox.ts";
import { type SequencePlace, shown } from "./parameters.ts";
import { createSequenceInput, type SequenceInput } from "./sequence-input.ts";

/** The sequences that are open on one stream: each is a session of its own. */
export interface Sequences {
  /**
   * Takes the next request of a sequence. Gives the answers of the sequence that it begins; undefined when they go to
   * those of one that has begun.
   *
   * @throws ServingError for a request that is no part of a sequence.
   */
  take(request: ModelInferRequest, place: SequencePlace): AsyncGenerator<ModelStreamInferResponse> | undefined;
  /** Ends with this those whose last request has not come. */
  abortOpen(error: ServingError): void;
}

/** A sequence that begins. */
export interface BegunSequence {
  readonly first: ModelInferRequest;
  readonly input: SequenceInput;
  /** The sequence's id, for its answers. */
  readonly parameters: Readonly<Record<string, InferParameter>>;
  /** Aborts with a ServingError when the sequence is to end. */
  readonly signal: AbortSignal;
}

/** What {@link createSequences} is told. */
export interface SequencesOptions {
  readonly maxSequences: number;
  readonly limits: InboxLimits;
  /** Runs a sequence's session and gives its answers. */
  readonly run: (sequence: BegunSequence) => AsyncGenerator<ModelStreamInferResponse>;
}

/** Builds the table of one stream, without sequences. */
export function createSequences({ maxSequences, limits, run }: SequencesOptions): Sequences {
  const open = new Map<string, { readonly input: SequenceInput; abort(error: ServingError): void }>();
  const running = new Set<AbortController>();

  async function* answersOf(key: string, begun: BegunSequence, controller: AbortController) {
    try {
      yield* run(begun);
    } finally {
      running.delete(controller);
      if (open.get(key)?.input === begun.input) open.delete(key);
    }
  }
  const begin = (key: string, request: ModelInferRequest, place: SequencePlace) => {
    const name = shown(String(place.id));
    if (open.has(key)) throw violation(`parameters.sequence_start: sequence '${name}' has begun already`);
    if (running.size >= maxSequences) {
      throw new ServingError("SERVICE_BUSY", `the stream has ${running.size} sequences, as many as it may`);
    }
    const controller = new AbortController();
    const input = createSequenceInput(limits);
    const begun = { first: request, input, parameters: parametersFrom(place), signal: controller.signal };
    running.add(controller);
    if (!place.isEnd) open.set(key, { input, abort: (error) => controller.abort(error) });
    if (!input.push(request, place)) controller.abort(tooMuch(name));
    return answersOf(key, begun, controller);
  };
  return {
    take(request, place) {
      const key = `${request.modelName}\n${typeof place.id}\n${place.id}`;
      if (place.isStart) return begin(key, request, place);
      const sequence = open.get(key);
      const name = shown(String(place.id));
      if (sequence === undefined) {
        throw new ServingError(
          "SESSION_NOT_FOUND",
          `parameters.sequence_id: no sequence '${name}' is open on this stream`,
        );
      }
      if (place.isEnd) open.delete(key);
      if (!sequence.input.push(request, place)) sequence.abort(tooMuch(name));
      return undefined;
    },
    abortOpen(error) {
      for (const { abort } of open.values()) abort(error);
    },
  };
}

function parametersFrom({ id }: SequencePlace): Readonly<Record<string, InferParameter>> {
  const parameterChoice =
    typeof id === "string"
      ? { case: "stringParam" as const, value: id }
      : id > 0x7fff_ffff_ffff_ffffn
        ? { case: "uint64Param" as const, value: BigInt(id) }
        : { case: "int64Param" as const, value: BigInt(id) };
  return { sequence_id: create(InferParameterSchema, { parameterChoice }) };
}

function tooMuch(name: string): ServingError {
  return new ServingError("PAYLOAD_TOO_LARGE", `sequence '${name}' comes faster than its service takes it`);
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}
