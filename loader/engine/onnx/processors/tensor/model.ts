import { type InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { ServingError } from "../../../../../proto/errors.ts";
import { bytesElements, bytesFromElements, type Datatype, type Tensor } from "../../../../../proto/tensor.ts";
import { datatypeFromOrt, elementsFromBytes } from "./ort-type.ts";
import type { Tensors } from "./rows.ts";

/** One input or output of a model. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  /** -1: any size. */
  readonly shape: readonly number[];
}

/** A model as its file describes it, ready to run. */
export interface Model {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Runs the model once. Throws ServingError for what it cannot compute. */
  run(inputs: Tensors): Promise<Tensors>;
}

/**
 * The model of a session.
 *
 * @throws ServingError SERVICE_NOT_READY for one whose inputs are no tensors, or of a type that no caller could send.
 * Outputs that are no tensors, such as the maps of classifiers, are left out.
 */
export function modelFromSession(session: InferenceSession): Model {
  const inputs = session.inputMetadata.map((value) => {
    const spec = specFrom(value);
    if (spec !== undefined) return spec;
    throw new ServingError("SERVICE_NOT_READY", `the model's input '${value.name}' is of a type that is not supported`);
  });
  const outputs = session.outputMetadata.flatMap((value) => specFrom(value) ?? []);
  const names = outputs.map(({ name }) => name);
  return {
    inputs,
    outputs,
    async run(tensors) {
      const feeds: Record<string, OrtTensor> = {};
      for (const { name } of inputs) {
        const tensor = tensors[name];
        if (tensor !== undefined) feeds[name] = ortFromTensor(name, tensor);
      }
      const values = await session.run(feeds, names).catch((error: unknown) => {
        throw new ServingError("ENGINE_FAILED", `the model cannot compute this input: ${wordsOf(error)}`);
      });
      const answer: Record<string, Tensor> = {};
      for (const name of names) {
        const value = values[name];
        if (value !== undefined) answer[name] = tensorFromOrt(name, value);
      }
      return answer;
    },
  };
}

function specFrom(value: InferenceSession.ValueMetadata): TensorSpec | undefined {
  const datatype = value.isTensor ? datatypeFromOrt(value.type) : undefined;
  if (!value.isTensor || datatype === undefined) return undefined;
  return { name: value.name, datatype, shape: value.shape.map((size) => (typeof size === "number" ? size : -1)) };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

function ortFromTensor(name: string, { datatype, shape, data }: Tensor): OrtTensor {
  if (datatype === "BYTES") return new OrtTensor("string", textsFromBytes(name, data), shape);
  if (datatype === "BF16") throw new ServingError("INVALID_INPUT", `payload.${name}: BF16 is not supported`);
  const elements = elementsFromBytes(datatype, data);
  // A Uint8Array alone would be taken for UINT8.
  if (datatype === "BOOL" && elements instanceof Uint8Array) return new OrtTensor("bool", elements, shape);
  if (datatype === "FP16" && elements instanceof Uint16Array) return float16Tensor(elements, shape);
  return new OrtTensor(elements as Float32Array, shape);
}

/** The runtime's native part takes 16-bit floats as integers alone: in a Float16Array of Bun's it finds no bytes. */
function float16Tensor(elements: Uint16Array, shape: readonly number[]): OrtTensor {
  const tensor = new OrtTensor("float16", elements, shape);
  return Object.create(tensor, { data: { value: elements } });
}

function textsFromBytes(name: string, data: Uint8Array): string[] {
  try {
    return (bytesElements(data) ?? []).map((element) => decoder.decode(element));
  } catch (cause) {
    throw new ServingError("INVALID_INPUT", `payload.${name}: the model takes text, and this is not UTF-8`, { cause });
  }
}

function tensorFromOrt(name: string, value: OrtTensor): Tensor {
  const datatype = datatypeFromOrt(value.type);
  if (datatype === undefined) {
    throw new ServingError("ENGINE_FAILED", `the model's output '${name}' is of a type that is not supported`);
  }
  if (value.type === "string") {
    const texts = value.data as string[];
    return { datatype, shape: value.dims, data: bytesFromElements(texts.map((text) => encoder.encode(text))) };
  }
  const { buffer, byteOffset, byteLength } = value.data as Float32Array;
  return { datatype, shape: value.dims, data: new Uint8Array(buffer, byteOffset, byteLength) };
}

/** The longest text of the runtime's that goes into an answer. */
const maxWordsLength = 300;

/** What the runtime says about the data, without the places in its own sources. */
function wordsOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const words = text.replace(/^.*Status Message: /s, "").replace(/\S*\/\S+:\d+\s?/g, "");
  return words.split("\n", 1)[0]?.trim().slice(0, maxWordsLength) ?? "";
}
