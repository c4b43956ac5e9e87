import { ServingError } from "../../../proto/errors.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { bytesFromElements, elementCount } from "../../../proto/tensor.ts";
import type { CompiledInput, CompiledService, TensorShape } from "../../schema/compile.ts";
import { isRecord } from "../../schema/dialect.ts";
import type { InputTensor, TensorRequest } from "../../types.ts";
import { type RestBody, strictText } from "./decode-request.ts";
import { dataFromElements } from "./elements.ts";
import { parseExactJson } from "./exact-json.ts";
import { readRequestParameters, shown } from "./parameters.ts";

/** A request to `generate` or `generate_stream`: well-formed, but which of its members are inputs its service says. */
export interface GenerateRequest
  extends Pick<TensorRequest, "header" | "id" | "parameters" | "priority" | "timeoutMs"> {
  /** Its members beside `id` and `parameters`, as JSON has them. */
  readonly members: ReadonlyMap<string, unknown>;
}

/** Which input `text_input` is, and which output `text_output`, where a service has none of that name and several texts. */
const usualNames = { input: "prompt", output: "result" } as const;

/**
 * Understands a request's body: `text_input`, other inputs by their names, and `parameters`.
 *
 * @throws ServingError MALFORMED_ENVELOPE or SCHEMA_VIOLATION, naming the field.
 */
export function decodeGenerateRequest({ bytes }: Pick<RestBody, "bytes">): GenerateRequest {
  const document = parseExactJson(strictText(bytes));
  if (!isRecord(document)) throw new ServingError("MALFORMED_ENVELOPE", "the request must be a JSON object");
  const { id = "", parameters, ...members } = document;
  if (typeof id !== "string") throw violation("id: expected a string");
  if (parameters !== undefined && parameters !== null && !isRecord(parameters)) {
    throw violation("parameters: expected an object");
  }
  // Whether the answer is a stream is said by the path; clients of other servers say it here as well.
  const { stream: _, ...rest } = parameters ?? {};
  return { header: {}, id, ...readRequestParameters(parametersFrom(rest)), members: new Map(Object.entries(members)) };
}

function parametersFrom(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const parameters: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    // Assigning to __proto__ would change what the object inherits from.
    if (name === "__proto__") throw violation("parameters.__proto__: is no name of a parameter");
    if (value !== null) parameters[name] = typeof value === "object" ? JSON.parse(jsonOf(value)) : value;
  }
  return parameters;
}

/**
 * The request as `infer` has it. `text_input` is the input of that name, or the service's only text, or its `prompt`. A text
 * is given as it is, other data that is no tensor as base64, and a tensor as a value or an array, whose shape follows from
 * the declared one. What is none of the inputs is a parameter.
 *
 * @throws ServingError SCHEMA_VIOLATION, naming the field.
 */
export function tensorsFromGenerate(service: CompiledService, request: GenerateRequest): TensorRequest {
  const { members, ...common } = request;
  const inputs: InputTensor[] = [];
  const others: [string, unknown][] = [];
  for (const [name, value] of members) {
    const input = inputOf(service, name);
    if (input === undefined) others.push([name, value]);
    else if (value !== null) inputs.push(tensorFrom(input, name, value));
  }
  const parameters = { ...parametersFrom(Object.fromEntries(others)), ...request.parameters };
  return { ...common, parameters, inputs, rawInput: undefined, outputs: undefined, binaryOutputs: false };
}

function inputOf(service: CompiledService, name: string): CompiledInput | undefined {
  if (name !== "text_input") return service.inputByName.get(name);
  const text = service.inputByName.get(textOf(service, "input") ?? "");
  if (text !== undefined) return text;
  const names = service.inputs
    .map((input) => input.name)
    .join(", ")
    .slice(0, 200);
  throw violation(`text_input: service '${service.id}' has not one text input, but [${names}]: name one of them`);
}

/** The name that an input or output of a service has here: its own, or `text_input` or `text_output`. */
export function generatedName(service: CompiledService, name: string, kind: "input" | "output"): string {
  return name === textOf(service, kind) ? `text_${kind}` : name;
}

/** The name of what `text_input` or `text_output` is; undefined where there is none. */
function textOf(service: CompiledService, kind: "input" | "output"): string | undefined {
  const outputs = service.outputs.map(({ name, expected: { type }, tensor }) => ({ name, type, tensor }));
  const all: readonly Pick<CompiledInput, "name" | "type" | "tensor">[] = kind === "input" ? service.inputs : outputs;
  const has = (wanted: string): boolean => all.some(({ name }) => name === wanted);
  if (has(`text_${kind}`)) return `text_${kind}`;
  const [text, ...others] = all.filter(isText);
  if (text !== undefined && others.length === 0) return text.name;
  return has(usualNames[kind]) ? usualNames[kind] : undefined;
}

function isText({ type, tensor }: Pick<CompiledInput, "type" | "tensor">): boolean {
  return tensor === undefined ? type === PartType.TEXT : tensor.datatype === "BYTES";
}

const utf8 = new TextEncoder();

function tensorFrom({ name, type, tensor }: CompiledInput, member: string, value: unknown): InputTensor {
  const refuse = (what: string): ServingError => violation(`${shown(member)}: ${what}`);
  if (tensor === undefined) {
    const data = type === PartType.TEXT ? textFrom(value, refuse) : bytesFrom(value, refuse);
    return { name, datatype: "BYTES", shape: [1], parameters: {}, data: bytesFromElements([data]) };
  }
  const elements = Array.isArray(value) ? value.flat(Number.POSITIVE_INFINITY) : [value];
  const shape = shapeFor(tensor, value, elements.length);
  if (elementCount(shape) !== elements.length) {
    throw refuse(`${elements.length} values do not fill the shape ${JSON.stringify(tensor.shape)}`);
  }
  return {
    name,
    datatype: tensor.datatype,
    shape,
    parameters: {},
    data: dataFromElements(tensor.datatype, elements, refuse),
  };
}

function textFrom(value: unknown, refuse: (what: string) => ServingError): Uint8Array {
  if (typeof value === "string") return utf8.encode(value);
  // Such as a chat's messages: a text of JSON.
  if (typeof value === "object") return utf8.encode(jsonOf(value));
  throw refuse("expected a string");
}

/** The text of parsed JSON, whose long whole numbers are bigints: here the digits of a double are enough. */
function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? Number(item) : item));
}

function bytesFrom(value: unknown, refuse: (what: string) => ServingError): Uint8Array {
  try {
    if (typeof value === "string") return Uint8Array.fromBase64(value);
  } catch {
    // Told below.
  }
  throw refuse("expected a string of base64");
}

/** Nested arrays say their shape; of a value or a flat array the last open size takes all, and open sizes before it are 1. */
function shapeFor({ shape }: TensorShape, value: unknown, count: number): readonly number[] {
  const nested = sizesOf(value);
  if (nested.length === shape.length) return nested;
  const last = shape.findLastIndex((size) => size < 0);
  const ones = shape.map((size) => Math.abs(size));
  return last === -1 ? shape : ones.with(last, Math.floor(count / elementCount(ones)));
}

function sizesOf(value: unknown): readonly number[] {
  const sizes: number[] = [];
  for (let level = value; Array.isArray(level); level = level[0]) sizes.push(level.length);
  return sizes;
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}
