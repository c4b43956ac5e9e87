import { ServingError } from "../../proto/errors.ts";
import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Part, PartDescription } from "../../proto/gen/athena/v1/part_pb.ts";
import { assertTensor, bytesFromElements, elementCount, tensorFromPart } from "../../proto/tensor.ts";
import type { InputTensor, OutputWish, TensorRequest } from "../types.ts";
import type { CompiledInput, CompiledOutput, CompiledService, TensorShape } from "./compile.ts";
import { errorFromMistakes, noteSchemaErrors, shown } from "./mistakes.ts";
import { isResourceMember, resourceIdsFrom } from "./resource-ids.ts";
import type { SchemaCheck } from "./schema-check.ts";
import { textFromValue } from "./text-from-value.ts";
import { nameApp } from "./texts.ts";

/** How strictly a request is checked beside its service's definition. */
export interface ValidateTensorsOptions {
  /** The request opens a session, so that its inputs may come later. False unless told. */
  readonly isOpening?: boolean;
}

/**
 * Checks a request of the Open Inference Protocol against a service and makes the request that goes to a loader. An input
 * that is no tensor is one element of BYTES, whose bytes are the part's data and whose parameters are its attributes; a
 * tensor's part is {@link partFromTensor}'s. Data is not copied.
 *
 * @throws ServingError SCHEMA_VIOLATION, or PAYLOAD_TOO_LARGE, naming the field.
 */
export function validateTensors(
  service: CompiledService,
  request: TensorRequest,
  sid: string,
  { isOpening = false }: ValidateTensorsOptions = {},
): InferRequest {
  const parts = checkedParts(service, request, isOpening);
  const { parameters, resourceIds, header } = resourcesFrom(service, request);
  assertSchema("parameters", service.checkParameters, parameters);
  return {
    $typeName: "athena.v1.InferRequest",
    service: service.id,
    version: service.version,
    sid,
    headers: headersFrom(header),
    parameters: textsFrom(service.rewriteParameters?.(parameters) ?? parameters),
    expects: expectsFrom(service, request),
    parts,
    resourceIds,
    priority: request.priority,
  };
}

/**
 * Checks a later request of a sequence against its service and gives its parts. Only its inputs count: the rest was said
 * when the sequence began.
 *
 * @throws ServingError as {@link validateTensors}.
 */
export function validateTensorChunk(service: CompiledService, request: TensorRequest): Part[] {
  return checkedParts(service, request, true);
}

function checkedParts(service: CompiledService, { inputs, rawInput }: TensorRequest, isPartial: boolean): Part[] {
  const parts = rawInput === undefined ? partsFrom(service, inputs, isPartial) : [rawPartFrom(service, rawInput)];
  if (service.definition.maxBatchRows > 0) assertRows(parts);
  return parts.map(({ part }) => part);
}

/** A request's personal resources, which its parameters name as a header of the unified protocol would. */
function resourcesFrom(service: CompiledService, { header, parameters }: TensorRequest) {
  // To a service that takes none, they are parameters like any others.
  if (!service.definition.personalResources) return { header, parameters, resourceIds: [] };
  const rest: Record<string, unknown> = {};
  const named: Record<string, readonly unknown[]> = {};
  for (const [name, value] of Object.entries(parameters)) {
    // A parameter is a scalar: several ids are one text.
    if (isResourceMember(name)) named[name] = typeof value === "string" ? value.split(/[;,]/) : [value];
    else rest[name] = value;
  }
  const mistakes: string[] = [];
  const resourceIds = resourceIdsFrom(named, mistakes, "parameters");
  if (mistakes.length > 0) throw errorFromMistakes("SCHEMA_VIOLATION", mistakes, "");
  return { header: { ...header, ...named }, parameters: rest, resourceIds };
}

/** A part that was checked, with the shape of its tensor where it is one. */
interface CheckedPart {
  readonly part: Part;
  readonly shape: readonly number[] | undefined;
}

function partsFrom(service: CompiledService, inputs: readonly InputTensor[], isPartial: boolean): CheckedPart[] {
  const given = new Map<string, InputTensor>();
  for (const input of inputs) {
    if (!service.inputByName.has(input.name)) throw unknown("inputs", input.name, service.inputByName.keys());
    if (given.has(input.name)) throw violation(`inputs.${input.name}: stands twice`);
    given.set(input.name, input);
  }
  const parts: CheckedPart[] = [];
  for (const input of service.inputs) {
    const tensor = given.get(input.name);
    if (tensor !== undefined) parts.push(partFrom(input, tensor, isPartial));
    else if (input.required && !isPartial) throw violation(`inputs.${input.name}: is required`);
  }
  return parts;
}

function partFrom(input: CompiledInput, tensor: InputTensor, isPartial: boolean): CheckedPart {
  const path = `inputs.${input.name}`;
  assertSchema(`${path}.parameters`, input.checkAttributes, tensor.parameters);
  const attributes = textsFrom(input.rewriteAttributes?.(tensor.parameters) ?? tensor.parameters);
  if (input.tensor === undefined) return plainPart(input, onlyElement(path, tensor), attributes, isPartial);
  assertTensor(tensor, input.tensor, (what) => violation(`${path}: ${what}`));
  return tensorPart(input, tensor, attributes);
}

/** The data of a raw request, which says nothing about itself. */
function rawPartFrom(service: CompiledService, data: Uint8Array): CheckedPart {
  const [input] = service.inputs;
  if (input === undefined || service.inputs.length > 1) {
    throw violation(`raw data is for services with one input; '${service.id}' has ${service.inputs.length}`);
  }
  if (input.tensor === undefined) return plainPart(input, data, {});
  const { datatype, shape } = input.tensor;
  const refuse = (what: string): ServingError => violation(`inputs.${input.name}: ${what}`);
  if (datatype === "BYTES") {
    const tensor = { datatype, shape: shape.map(() => 1), data: bytesFromElements([data]) };
    assertTensor(tensor, input.tensor, refuse);
    return tensorPart(input, tensor, {});
  }
  // What fits a batch of any size and another open dimension is one row.
  const isOneRow = service.definition.maxBatchRows > 0 && shape.filter((size) => size < 0).length > 1;
  const kind = isOneRow ? { datatype, shape: [1, ...shape.slice(1)] } : input.tensor;
  return tensorPart(input, tensorFromPart(createPart(input, data, {}), kind, refuse), {});
}

type Texts = Record<string, string>;

function plainPart(input: CompiledInput, data: Uint8Array, attributes: Texts, isPartial = false): CheckedPart {
  if (data.length === 0 && input.required && !isPartial) throw violation(`inputs.${input.name}: must not be empty`);
  return { part: createPart(input, data, attributes), shape: undefined };
}

function tensorPart(input: CompiledInput, { shape, data }: TensorData, attributes: Texts): CheckedPart {
  const all = { ...attributes, datatype: input.tensor?.datatype ?? "", shape: JSON.stringify(shape) };
  return { part: createPart(input, data, all), shape };
}

function createPart({ name, type, maxBytes }: CompiledInput, data: Uint8Array, attributes: Texts): Part {
  if (data.length > maxBytes) {
    throw new ServingError(
      "PAYLOAD_TOO_LARGE",
      `inputs.${name}: must be at most ${maxBytes} bytes, got ${data.length}`,
    );
  }
  return { $typeName: "athena.v1.Part", name, type, attributes, data };
}

type TensorData = Pick<InputTensor, "shape" | "data">;

/** The bytes of a tensor's one element, as a view. */
function onlyElement(path: string, { datatype, shape, data }: InputTensor): Uint8Array {
  const isOne = datatype === "BYTES" && elementCount(shape) === 1;
  const length = isOne && data.length >= 4 ? new DataView(data.buffer, data.byteOffset).getUint32(0, true) : -1;
  if (length === data.length - 4) return data.subarray(4);
  throw violation(`${path}: must be one element of BYTES, which is the data, shape [1]`);
}

/** Rows are the first dimension of every tensor. */
function assertRows(parts: readonly CheckedPart[]): void {
  let rows: number | undefined;
  for (const { part, shape } of parts) {
    const [first] = shape ?? [];
    if (first === undefined) continue;
    rows ??= first;
    if (first !== rows) throw violation(`inputs.${part.name}: must have ${rows} rows as the first input, got ${first}`);
  }
}

function expectsFrom(service: CompiledService, request: TensorRequest): PartDescription[] {
  const wishes = new Map<string, OutputWish>();
  for (const wish of request.outputs ?? []) {
    const output = service.outputByName.get(wish.name);
    if (output === undefined) throw unknown("outputs", wish.name, service.outputByName.keys());
    if (wishes.has(wish.name)) throw violation(`outputs.${wish.name}: stands twice`);
    assertSchema(`outputs.${wish.name}.parameters`, output.checkAttributes, wish.parameters);
    wishes.set(wish.name, wish);
  }
  for (const { name, tensor } of service.outputs) {
    const wish = wishes.get(name);
    if (wish === undefined && request.outputs !== undefined) continue;
    if (!(wish?.binary ?? request.binaryOutputs)) assertHasJson(name, tensor);
  }
  return service.outputs.map((output) => expectedFrom(output, wishes.get(output.name)));
}

function assertHasJson(name: string, tensor: TensorShape | undefined): void {
  if (tensor?.datatype !== "FP16" && tensor?.datatype !== "BF16") return;
  throw violation(`outputs.${name}: ${tensor.datatype} has no JSON form; ask for it with the parameter binary_data`);
}

function expectedFrom({ expected }: CompiledOutput, wish: OutputWish | undefined): PartDescription {
  if (wish === undefined) return expected;
  return { ...expected, attributes: { ...expected.attributes, ...textsFrom(wish.parameters) } };
}

function assertSchema(
  path: string,
  check: SchemaCheck | undefined,
  parameters: Readonly<Record<string, unknown>>,
): void {
  // The schemas' compiler knows no bigint; only what is sent on needs every digit.
  const values = Object.entries(parameters).map(([name, value]) => [
    name,
    typeof value === "bigint" ? Number(value) : value,
  ]);
  const errors = check?.(Object.fromEntries(values));
  if (errors === undefined) return;
  const mistakes: string[] = [];
  noteSchemaErrors(mistakes, path, errors);
  throw errorFromMistakes("SCHEMA_VIOLATION", mistakes, "");
}

function headersFrom(header: TensorRequest["header"]): Texts {
  const headers: Texts = {};
  for (const name in header) headers[name] = textFromValue(header[name]);
  nameApp(headers, false);
  return headers;
}

function textsFrom(parameters: Readonly<Record<string, unknown>>): Texts {
  const texts: Texts = {};
  for (const name in parameters) texts[name] = textFromValue(parameters[name]);
  return texts;
}

function unknown(section: string, name: string, known: Iterable<string>): ServingError {
  return violation(`${section}.${shown(name)}: unknown, must be one of [${[...known].join(", ").slice(0, 200)}]`);
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}
