import { ServingError } from "../../../../proto/errors.ts";
import { unusableError } from "../server-error.ts";
import { type BytesText, dataFromJson, jsonFromTensor, parseExactly } from "./json-data.ts";
import { type NamedTensor, statedKind } from "./tensors.ts";

/** Where the JSON of a body ends and the tensors begin. */
export const jsonLengthHeader = "inference-header-content-length";

/** What an inference request says beside its tensors. */
export interface InferenceHead {
  readonly id: string;
  readonly parameters: Readonly<Record<string, string | number | boolean>>;
  /** The outputs that are wanted. */
  readonly outputs: readonly string[];
}

/** A body and the headers that belong to it. */
export interface EncodedBody {
  readonly body: Uint8Array<ArrayBuffer> | string;
  readonly headers: Readonly<Record<string, string>>;
}

/** An inference request with its tensors in binary behind the JSON, which asks for its outputs in the same way. */
export function binaryBody({ id, parameters, outputs }: InferenceHead, tensors: readonly NamedTensor[]): EncodedBody {
  const json = JSON.stringify({
    id,
    // Servers look at one of the two: Triton at the outputs' own when any is named.
    parameters: { ...parameters, binary_data_output: true },
    inputs: tensors.map(({ name, shape, datatype, data }) => {
      return { name, shape, datatype, parameters: { binary_data_size: data.length } };
    }),
    outputs: outputs.map((name) => ({ name, parameters: { binary_data: true } })),
  });
  const head = Buffer.from(json);
  return {
    body: Buffer.concat([head, ...tensors.map(({ data }) => data)]),
    headers: { "content-type": "application/octet-stream", [jsonLengthHeader]: String(head.length) },
  };
}

/**
 * An inference request as JSON alone, for servers without the binary extension.
 *
 * @throws ServingError INVALID_INPUT, naming the part that JSON cannot carry.
 */
export function jsonBody(
  { id, parameters, outputs }: InferenceHead,
  tensors: readonly NamedTensor[],
  bytesTextOf: (name: string) => BytesText,
): EncodedBody {
  const inputs = tensors.map((tensor) => {
    const { name, shape, datatype } = tensor;
    const bytesText = bytesTextOf(name);
    const content = bytesText === "base64" ? { parameters: { content_type: "base64" } } : {};
    const head = JSON.stringify({ name, shape, datatype, ...content });
    return `${head.slice(0, -1)},"data":${dataOf(tensor, bytesText)}}`;
  });
  const head = JSON.stringify({ id, parameters, outputs: outputs.map((name) => ({ name })) });
  return {
    body: `${head.slice(0, -1)},"inputs":[${inputs.join()}]}`,
    headers: { "content-type": "application/json" },
  };
}

function dataOf(tensor: NamedTensor, bytesText: BytesText): string {
  try {
    return jsonFromTensor(tensor, bytesText);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const server = "and the model server takes JSON only";
    throw new ServingError("INVALID_INPUT", `payload.${tensor.name}: ${error.message}, ${server}`);
  }
}

/**
 * The tensors of an answer, whichever of the two ways each of them stands in it.
 *
 * @throws ServingError OUTPUT_UNEXPECTED when it cannot be read.
 */
export function tensorsFromBody(service: string, body: Uint8Array, jsonLength: string | null): NamedTensor[] {
  const length = jsonLength === null ? body.length : Number(jsonLength);
  if (!(length >= 0 && length <= body.length)) throw unusableError(service, `its header ${jsonLengthHeader} is wrong`);
  const answer = parse(service, body.subarray(0, length));
  if (!Array.isArray(answer?.outputs)) throw unusableError(service, "it has no outputs");
  let at = length;
  const tensors = answer.outputs.map((output: unknown) => {
    const { name, datatype, shape, data, parameters } = readOutput(service, output);
    const kind = statedKind(service, name, datatype, shape);
    const bytes = parameters.binary_data_size;
    if (bytes === undefined) {
      const bytesText = parameters.content_type === "base64" ? "base64" : "utf8";
      return {
        name,
        ...kind,
        data: readJsonData(service, name, () => dataFromJson(kind.datatype, kind.shape, data, bytesText)),
      };
    }
    const end = at + Number(bytes);
    if (!(Number.isSafeInteger(bytes) && end >= at && end <= body.length)) {
      throw unusableError(service, `output '${name}' has a binary_data_size that is wrong`);
    }
    const binary = body.subarray(at, end);
    at = end;
    return { name, ...kind, data: binary };
  });
  if (at !== body.length) throw unusableError(service, "it is longer than its tensors");
  return tensors;
}

function readJsonData(service: string, name: string, read: () => Uint8Array): Uint8Array {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw unusableError(service, `output '${name}': ${error.message}`);
    throw error;
  }
}

function parse(service: string, json: Uint8Array): { readonly outputs?: unknown } {
  try {
    const value = parseExactly(new TextDecoder().decode(json));
    return typeof value === "object" && value !== null ? value : {};
  } catch (cause) {
    throw unusableError(service, "it is not JSON", cause);
  }
}

interface StatedOutput {
  readonly name: string;
  readonly datatype: unknown;
  readonly shape: readonly unknown[];
  readonly data: unknown;
  readonly parameters: { readonly binary_data_size?: unknown; readonly content_type?: unknown };
}

function readOutput(service: string, output: unknown): StatedOutput {
  const { name, shape, parameters, ...rest } = (output ?? {}) as Partial<Record<string, unknown>>;
  if (typeof name !== "string" || !Array.isArray(shape)) throw unusableError(service, "an output has no name or shape");
  return { name, shape, parameters: parameters ?? {}, datatype: rest.datatype, data: rest.data };
}
