import { ServingError } from "../../../proto/errors.ts";
import type { TensorParameters, TensorRequest } from "../../types.ts";

/** What a request's parameters say: those with a meaning of the protocol's, and the rest, which are the service's. */
export type RequestParameters = Pick<TensorRequest, "parameters" | "priority" | "timeoutMs">;

/** Where a request stands in a sequence, which its parameters say. */
export interface SequencePlace {
  readonly id: string | number | bigint;
  readonly isStart: boolean;
  readonly isEnd: boolean;
}

const ofSequence = ["sequence_id", "sequence_start", "sequence_end"];
const unsupportedOfTensor = [
  "shared_memory_region",
  "shared_memory_byte_size",
  "shared_memory_offset",
  "classification",
];

/**
 * Takes the protocol's own parameters out of a request's. `priority`: 1 is the highest, 0 the usual one. `timeout`: in
 * microseconds.
 *
 * @throws ServingError SCHEMA_VIOLATION, UNSUPPORTED_OPERATION, naming the parameter.
 */
export function readRequestParameters(given: Readonly<Record<string, unknown>>): RequestParameters {
  const { priority, timeout, ...rest } = given;
  const parameters: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(rest)) {
    if (name.startsWith("triton_")) throw refused(`parameters.${shown(name)}: is reserved`);
    if (!ofSequence.includes(name)) parameters[name] = value;
    else if (value !== 0 && value !== "" && value !== false) throw noSequences(name);
  }
  return { parameters, priority: priorityFrom(priority), timeoutMs: timeoutFrom(timeout) };
}

function noSequences(name: string): ServingError {
  const message = `parameters.${name}: sequences are not supported here, but on a stream of ModelStreamInfer`;
  return new ServingError("UNSUPPORTED_OPERATION", message);
}

/**
 * Takes the place in a sequence out of a request's parameters; undefined for a request that is in none, as it is without
 * an id, or with 0 or "".
 *
 * @throws ServingError SCHEMA_VIOLATION, naming the parameter.
 */
export function readSequencePlace({ sequence_id: id, sequence_start: start, sequence_end: end }: TensorParameters) {
  if (id === undefined || id === 0 || id === "") return undefined;
  if (typeof id === "boolean" || (typeof id === "number" && !(Number.isInteger(id) && id > 0))) {
    throw refused("parameters.sequence_id: expected a whole number above 0, or a text");
  }
  const place: SequencePlace = { id, isStart: flagFrom("sequence_start", start), isEnd: flagFrom("sequence_end", end) };
  return place;
}

/** The parameters without what {@link readSequencePlace} reads. */
export function withoutSequencePlace(given: TensorParameters): TensorParameters {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !ofSequence.includes(name)));
}

function flagFrom(name: string, value: TensorParameters[string] | undefined): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw refused(`parameters.${name}: expected true or false`);
}

/**
 * The parameters of an input or output as they are.
 *
 * @throws ServingError UNSUPPORTED_OPERATION for those that ask for what this server does not do.
 */
export function readTensorParameters(path: string, given: TensorParameters): TensorParameters {
  for (const name of unsupportedOfTensor) {
    if (name in given) throw new ServingError("UNSUPPORTED_OPERATION", `${path}.parameters.${name}: is not supported`);
  }
  return given;
}

/** Ours go from 100, which is first, to -100; the usual one is 0 on both sides. */
function priorityFrom(value: unknown): number {
  const level = wholeNumber("priority", value);
  return level === 0 ? 0 : Math.max(101 - level, -100);
}

function timeoutFrom(value: unknown): number | undefined {
  const microseconds = wholeNumber("timeout", value);
  return microseconds === 0 ? undefined : microseconds / 1000;
}

function wholeNumber(name: string, value: unknown): number {
  const isNumber = value === undefined || typeof value === "number" || typeof value === "bigint";
  const number = isNumber ? Number(value ?? 0) : Number.NaN;
  if (!Number.isInteger(number) || number < 0) {
    throw refused(`parameters.${name}: expected a whole number of at least 0`);
  }
  return number;
}

/** A name that the caller chose, short enough for a message. */
export function shown(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name;
}

function refused(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}
