import { ServingError } from "../../../proto/errors.ts";
import { elementCount, isDatatype, maxRank } from "../../../proto/tensor.ts";
import { isRecord } from "../../schema/dialect.ts";
import type { InputTensor, OutputWish, TensorParameters, TensorRequest } from "../../types.ts";
import { dataFromElements } from "./elements.ts";
import { parseExactJson } from "./exact-json.ts";
import { readRequestParameters, readTensorParameters, shown } from "./parameters.ts";

/** A request's body over REST. */
export interface RestBody {
  /** As it came. */
  readonly received: Uint8Array;
  /** The same, not compressed any more. */
  readonly bytes: Uint8Array;
  /** The header Inference-Header-Content-Length; null where the request has none. */
  readonly headerLength: string | null;
}

type JsonObject = Readonly<Record<string, unknown>>;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Understands a request of the protocol's REST form: JSON alone, JSON with the binary data of inputs behind it, or, where
 * the header's length is 0, the raw data of the only input. Binary data is not copied: inputs are views of the body.
 *
 * @throws ServingError MALFORMED_ENVELOPE, SCHEMA_VIOLATION or UNSUPPORTED_OPERATION, naming the field.
 */
export function decodeRestRequest({ bytes, headerLength }: Omit<RestBody, "received">): TensorRequest {
  const jsonLength = headerLength === null ? bytes.length : lengthFromHeader(headerLength, bytes.length);
  if (headerLength !== null && jsonLength === 0) return rawRequest(bytes);
  const document = parseExactJson(strictText(bytes.subarray(0, jsonLength)));
  if (!isRecord(document)) throw malformed("the request must be a JSON object");
  const section = createBinarySection(headerLength === null ? undefined : bytes.subarray(jsonLength));
  const { binary_data_output: binary, ...parameters } = parametersFrom("parameters", document.parameters);
  const binaryOutputs = flagFrom("parameters.binary_data_output", binary, false);
  const request: TensorRequest = {
    header: {},
    id: idFrom(document.id),
    ...readRequestParameters(parameters),
    inputs: objectsFrom("inputs", document.inputs).map((input, index) => inputFrom(input, index, section)),
    rawInput: undefined,
    outputs: outputsFrom(document.outputs, binaryOutputs),
    binaryOutputs,
  };
  section.assertUsedUp();
  return request;
}

function lengthFromHeader(text: string, bodyLength: number): number {
  const length = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (length <= bodyLength) return length;
  throw malformed(
    `Inference-Header-Content-Length must be a whole number from 0 to the body's length, ${bodyLength}, got '${shown(text)}'`,
  );
}

function rawRequest(rawInput: Uint8Array): TensorRequest {
  const nothing = {
    header: {},
    id: "",
    parameters: {},
    inputs: [],
    outputs: undefined,
    priority: 0,
    timeoutMs: undefined,
  };
  return { ...nothing, rawInput, binaryOutputs: true };
}

/**
 * The text of a request's JSON.
 *
 * @throws ServingError MALFORMED_ENVELOPE for bytes that are not UTF-8.
 */
export function strictText(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (cause) {
    throw malformed("the request's JSON is not UTF-8; binary data needs Inference-Header-Content-Length", cause);
  }
}

/** What stands behind the JSON, which inputs take their data from in their order. */
interface BinarySection {
  take(path: string, size: unknown): Uint8Array;
  assertUsedUp(): void;
}

function createBinarySection(bytes: Uint8Array | undefined): BinarySection {
  let at = 0;
  return {
    take(path, size) {
      if (bytes === undefined) throw malformed(`${path}: binary data needs the header Inference-Header-Content-Length`);
      if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
        throw violation(`${path}.parameters.binary_data_size: expected a number of bytes`);
      }
      const left = bytes.length - at;
      if (size > left) throw malformed(`${path}: unexpected size for input: ${size} bytes expected, ${left} are left`);
      at += size;
      return bytes.subarray(at - size, at);
    },
    assertUsedUp() {
      if (bytes === undefined || at === bytes.length) return;
      throw malformed(`unexpected additional input data: ${bytes.length - at} bytes that no input claims`);
    },
  };
}

function inputFrom(input: JsonObject, index: number, section: BinarySection): InputTensor {
  const name = nameFrom("inputs", index, input.name);
  const path = `inputs.${shown(name)}`;
  const { datatype, shape } = input;
  if (typeof datatype !== "string" || !isDatatype(datatype)) {
    throw violation(`${path}.datatype: expected one of the protocol's, such as FP32`);
  }
  if (!Array.isArray(shape) || shape.length > maxRank || !shape.every(isSize)) {
    throw violation(`${path}.shape: expected an array of sizes, at most ${maxRank}`);
  }
  const { binary_data_size: size, ...parameters } = parametersFrom(`${path}.parameters`, input.parameters);
  const checked = readTensorParameters(path, parameters);
  const isBinary = size !== undefined;
  if (isBinary !== isAbsent(input.data)) {
    throw violation(
      `${path}: expected either data or the parameter binary_data_size, got ${isBinary ? "both" : "none"}`,
    );
  }
  if (isBinary) return { name, datatype, shape, parameters: checked, data: section.take(path, size) };
  const refuse = (what: string): ServingError => violation(`${path}.${what}`);
  if (!Array.isArray(input.data)) throw refuse("data: expected an array");
  const elements = input.data.some(Array.isArray) ? input.data.flat(Number.POSITIVE_INFINITY) : input.data;
  const count = elementCount(shape);
  if (elements.length !== count) throw refuse(`data: ${count} elements expected for its shape, got ${elements.length}`);
  return { name, datatype, shape, parameters: checked, data: dataFromElements(datatype, elements, refuse) };
}

/** An empty list asks for every output, as none does. */
function outputsFrom(outputs: unknown, binaryOutputs: boolean): readonly OutputWish[] | undefined {
  if (isAbsent(outputs)) return undefined;
  const wishes = objectsFrom("outputs", outputs).map((output, index) => outputFrom(output, index, binaryOutputs));
  return wishes.length === 0 ? undefined : wishes;
}

function outputFrom(output: JsonObject, index: number, binaryOutputs: boolean): OutputWish {
  const name = nameFrom("outputs", index, output.name);
  const path = `outputs.${shown(name)}`;
  const { binary_data: binary, ...parameters } = parametersFrom(`${path}.parameters`, output.parameters);
  return {
    name,
    parameters: readTensorParameters(path, parameters),
    binary: flagFrom(`${path}.parameters.binary_data`, binary, binaryOutputs),
  };
}

function idFrom(id: unknown): string {
  if (isAbsent(id)) return "";
  if (typeof id !== "string") throw violation("id: expected a string");
  return id;
}

function nameFrom(section: string, index: number, name: unknown): string {
  if (typeof name !== "string" || name === "") throw violation(`${section}[${index}].name: expected a string`);
  return name;
}

function objectsFrom(path: string, value: unknown): readonly JsonObject[] {
  if (!Array.isArray(value) || !value.every(isRecord)) throw violation(`${path}: expected an array of objects`);
  return value;
}

function parametersFrom(path: string, value: unknown): TensorParameters {
  if (isAbsent(value)) return {};
  if (!isRecord(value)) throw violation(`${path}: expected an object`);
  const parameters: Record<string, TensorParameters[string]> = {};
  for (const [name, parameter] of Object.entries(value)) {
    if (isAbsent(parameter)) continue;
    // Assigning to __proto__ would change what the object inherits from.
    if (!isScalar(parameter) || name === "__proto__") {
      throw violation(`${path}.${shown(name)}: expected a string, a number, true or false`);
    }
    parameters[name] = parameter;
  }
  return parameters;
}

function flagFrom(path: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw violation(`${path}: expected true or false`);
  return value;
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isScalar(value: unknown): value is TensorParameters[string] {
  return (
    typeof value === "string" || typeof value === "number" || typeof value === "bigint" || typeof value === "boolean"
  );
}

/** Some clients write what they do not say as null. */
function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}

function malformed(message: string, cause?: unknown): ServingError {
  return new ServingError("MALFORMED_ENVELOPE", message, cause === undefined ? {} : { cause });
}
