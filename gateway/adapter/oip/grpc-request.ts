import { ServingError } from "../../../proto/errors.ts";
import type {
  InferParameter,
  InferTensorContents,
  ModelInferRequest,
  ModelInferRequest_InferInputTensor,
} from "../../../proto/gen/inference/grpc_service_pb.ts";
import { type Datatype, isDatatype, maxRank } from "../../../proto/tensor.ts";
import type { InputTensor, TensorParameters, TensorRequest } from "../../types.ts";
import { dataFromElements } from "./elements.ts";
import {
  readRequestParameters,
  readSequencePlace,
  readTensorParameters,
  type SequencePlace,
  shown,
  withoutSequencePlace,
} from "./parameters.ts";

/** Asks for a last answer to each request of a stream also where that has no outputs. */
const emptyFinalParameter = "triton_enable_empty_final_response";

/**
 * Understands a request of the protocol's gRPC form. Raw contents are not copied.
 *
 * @throws ServingError SCHEMA_VIOLATION or UNSUPPORTED_OPERATION, naming the field.
 */
export function decodeGrpcRequest(request: ModelInferRequest): TensorRequest {
  return tensorRequestFrom(request, parametersFrom("parameters", request.parameters));
}

/**
 * Understands a request that is part of a sequence.
 *
 * @throws ServingError as {@link decodeGrpcRequest}.
 */
export function decodeSequenceRequest(request: ModelInferRequest): TensorRequest {
  const parameters = withoutSequencePlace(parametersFrom("parameters", request.parameters));
  const decoded = tensorRequestFrom(request, parameters);
  if (decoded.timeoutMs !== undefined) throw violation("parameters.timeout: a sequence has none");
  return decoded;
}

/**
 * Where a request of a stream stands in a sequence; undefined for one that is in none.
 *
 * @throws ServingError SCHEMA_VIOLATION, naming the parameter.
 */
export function sequencePlaceFrom({ parameters }: ModelInferRequest): SequencePlace | undefined {
  // On every request: most have no such parameter.
  return "sequence_id" in parameters ? readSequencePlace(parametersFrom("parameters", parameters)) : undefined;
}

/** Whether a request of a stream wants a last answer without outputs where there is nothing more to say. */
export function wantsEmptyFinal({ parameters }: ModelInferRequest): boolean {
  return parameters[emptyFinalParameter]?.parameterChoice.value === true;
}

/** How many bytes of data a request has. */
export function bytesOfRequest({ inputs }: TensorRequest): number {
  return inputs.reduce((sum, { data }) => sum + data.length, 0);
}

function tensorRequestFrom(request: ModelInferRequest, given: TensorParameters): TensorRequest {
  const { inputs, rawInputContents: raw } = request;
  if (raw.length > 0 && raw.length !== inputs.length) {
    throw violation(`raw_input_contents: expected one for each of ${inputs.length} inputs, got ${raw.length}`);
  }
  const { [emptyFinalParameter]: _, ...parameters } = given;
  return {
    header: {},
    id: request.id,
    ...readRequestParameters(parameters),
    inputs: inputs.map((input, index) => inputFrom(input, raw[index])),
    rawInput: undefined,
    outputs: request.outputs.length === 0 ? undefined : request.outputs.map(outputFrom),
    binaryOutputs: true,
  };
}

function inputFrom(input: ModelInferRequest_InferInputTensor, raw: Uint8Array | undefined): InputTensor {
  const { name, datatype, contents } = input;
  const path = `inputs.${shown(name)}`;
  if (!isDatatype(datatype)) throw violation(`${path}.datatype: expected one of the protocol's, such as FP32`);
  const shape = input.shape.map(Number);
  if (shape.length > maxRank || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw violation(`${path}.shape: expected sizes, at most ${maxRank}`);
  }
  const parameters = readTensorParameters(path, parametersFrom(`${path}.parameters`, input.parameters));
  if (raw !== undefined && contents !== undefined && countOf(contents) > 0) {
    throw violation(`${path}.contents: must be empty beside raw_input_contents`);
  }
  return { name, datatype, shape, parameters, data: raw ?? dataFromContents(path, datatype, contents) };
}

function outputFrom({ name, parameters }: ModelInferRequest["outputs"][number]) {
  const path = `outputs.${shown(name)}`;
  return {
    name,
    parameters: readTensorParameters(path, parametersFrom(`${path}.parameters`, parameters)),
    binary: true,
  };
}

const contentsFields = {
  BOOL: "boolContents",
  INT8: "intContents",
  INT16: "intContents",
  INT32: "intContents",
  INT64: "int64Contents",
  UINT8: "uintContents",
  UINT16: "uintContents",
  UINT32: "uintContents",
  UINT64: "uint64Contents",
  FP16: undefined,
  BF16: undefined,
  FP32: "fp32Contents",
  FP64: "fp64Contents",
  BYTES: "bytesContents",
} as const satisfies Record<Datatype, keyof InferTensorContents | undefined>;

function dataFromContents(path: string, datatype: Datatype, contents: InferTensorContents | undefined): Uint8Array {
  if (contents === undefined) return new Uint8Array(0);
  const field = contentsFields[datatype];
  const elements = field === undefined ? [] : contents[field];
  if (elements.length !== countOf(contents)) {
    throw violation(`${path}.contents: ${datatype} is expected in ${field ?? "raw_input_contents"} alone`);
  }
  // Not checked as JSON's numbers are: here a float may be what is no number.
  if (field === "fp32Contents") return new Uint8Array(new Float32Array(contents[field]).buffer);
  if (field === "fp64Contents") return new Uint8Array(new Float64Array(contents[field]).buffer);
  return dataFromElements(datatype, elements, (what) => violation(`${path}.contents: ${what}`));
}

function countOf(contents: InferTensorContents): number {
  const fields = new Set(Object.values(contentsFields));
  return [...fields].reduce((sum, field) => sum + (field === undefined ? 0 : contents[field].length), 0);
}

function parametersFrom(path: string, given: Readonly<Record<string, InferParameter>>): TensorParameters {
  const parameters: Record<string, TensorParameters[string]> = {};
  for (const [name, { parameterChoice }] of Object.entries(given)) {
    const { value } = parameterChoice;
    if (value === undefined || name === "__proto__") throw violation(`${path}.${shown(name)}: has no value`);
    parameters[name] = typeof value === "bigint" ? numberFrom(value) : value;
  }
  return parameters;
}

function numberFrom(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function violation(message: string): ServingError {
  return new ServingError("SCHEMA_VIOLATION", message);
}
