import { ServingError } from "../../../proto/errors.ts";
import { type Part, PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { InputDefinition } from "../../../proto/gen/athena/v1/service_pb.ts";
import { bytesFromElements, tensorFromPart } from "../../../proto/tensor.ts";
import { decodeRestRequest } from "../../adapter/oip/decode-request.ts";
import { decodeGenerateRequest, generatedName, tensorsFromGenerate } from "../../adapter/oip/generate-request.ts";
import { jsonFromData } from "../../adapter/oip/json-elements.ts";
import type { CompiledService } from "../../schema/compile.ts";
import { readDefinedSchema } from "../../schema/definition.ts";
import { isRecord } from "../../schema/dialect.ts";
import { validateTensors } from "../../schema/validate-tensors.ts";
import { accepts } from "../accepts.ts";
import type { JsonObject } from "../api-part.ts";
import { encodingsOf } from "../example.ts";
import { type Extent, sampleFrom } from "../sample.ts";
import { sampleDataFor } from "../sample-data.ts";

/** A request of the Open Inference Protocol's REST form with binary data. */
export interface BinaryExample {
  readonly body: Uint8Array<ArrayBuffer>;
  /** The header Inference-Header-Content-Length. */
  readonly headerLength: number;
}

const utf8 = new TextEncoder();

/** A request in JSON that the gateway accepts for a service; undefined where none could be made, as for a picture. */
export function jsonExample(service: CompiledService): JsonObject | undefined {
  return firstAccepted(service, (tensors, parameters) => {
    const inputs = tensors.flatMap((tensor) => jsonInput(tensor) ?? []);
    if (tensors.some(({ isRequired, name }) => isRequired && !inputs.some((input) => input.name === name))) return;
    if (inputs.length === 0) return;
    const all = hasJsonOutputs(service) ? parameters : { ...parameters, binary_data_output: true };
    const value = { ...(Object.keys(all).length === 0 ? {} : { parameters: all }), inputs };
    return { example: value, body: utf8.encode(JSON.stringify(value)), headerLength: null };
  });
}

/** The same with binary data: that of the only input alone, where it needs no word about it, or behind the JSON. */
export function binaryExample(service: CompiledService): BinaryExample | undefined {
  const raw = firstAccepted(service, ([tensor, ...others]) => {
    if (tensor === undefined || others.length > 0 || tensor.isBytesTensor) return;
    return { example: { body: tensor.data, headerLength: 0 }, body: tensor.data, headerLength: "0" };
  });
  if (raw !== undefined) return raw;
  return firstAccepted(service, (tensors, parameters) => {
    if (tensors.length === 0) return;
    const chunks = tensors.map(({ data, isElement }) => (isElement ? bytesFromElements([data]) : data));
    const inputs = tensors.map(({ name, datatype, shape, attributes }, index) => {
      const size = { binary_data_size: chunks[index]?.length };
      return { name, datatype, shape, parameters: { ...attributes, ...size } };
    });
    const head = utf8.encode(JSON.stringify({ parameters: { ...parameters, binary_data_output: true }, inputs }));
    const body = new Uint8Array(Buffer.concat([head, ...chunks]));
    return { example: { body, headerLength: head.length }, body, headerLength: String(head.length) };
  });
}

/** A request to `generate` that the gateway accepts for a service; undefined where none could be made. */
export function generateExample(service: CompiledService): JsonObject | undefined {
  const make = (tensors: readonly SampleTensor[], parameters: JsonObject) => {
    const all = tensors.map((tensor) => generateMember(service, tensor)).filter((member) => member !== undefined);
    const needed = all.filter(([name]) => name === "text_input" || service.inputByName.get(name)?.required);
    // Of inputs that need not be there, each may make another one too much, as a prompt does beside a chat's messages.
    const members = needed.length === 0 ? all : needed;
    if (members.length === 0) return;
    const named = Object.keys(parameters).length === 0 ? {} : { parameters };
    const value = { ...Object.fromEntries(members), ...named };
    return { example: value, body: utf8.encode(JSON.stringify(value)), headerLength: null };
  };
  return firstAccepted(service, make, ({ body }) =>
    validateTensors(service, tensorsFromGenerate(service, decodeGenerateRequest({ bytes: body })), "example"),
  );
}

function generateMember(service: CompiledService, tensor: SampleTensor): [string, unknown] | undefined {
  const isText = service.inputByName.get(tensor.name)?.type === PartType.TEXT;
  if (tensor.isElement && !isText) return [tensor.name, tensor.data.toBase64()];
  const data = jsonInput(tensor)?.data;
  if (data === undefined) return undefined;
  const isOne = Array.isArray(data) && tensor.shape.every((size) => size === 1);
  return [generatedName(service, tensor.name, "input"), isOne ? data[0] : data];
}

interface Candidate<Example> {
  readonly example: Example;
  readonly body: Uint8Array;
  readonly headerLength: string | null;
}

function firstAccepted<Example>(
  service: CompiledService,
  make: (tensors: readonly SampleTensor[], parameters: JsonObject) => Candidate<Example> | undefined,
  accept = acceptInference,
): Example | undefined {
  const { id, definition } = service;
  for (const extent of ["required", "all"] as const) {
    const parameters = sampleOf(id, "parameters_schema", definition.parametersSchema, extent);
    const candidate = make(
      definition.inputs.flatMap((input) => tensorFrom(service, input, extent) ?? []),
      parameters,
    );
    if (candidate !== undefined && accepts(() => accept(candidate, service))) return candidate.example;
  }
  return undefined;
}

/** Throws for a request that the gateway refuses. */
type Accept = (candidate: Candidate<unknown>, service: CompiledService) => unknown;

const acceptInference: Accept = ({ body, headerLength }, service) =>
  validateTensors(service, decodeRestRequest({ bytes: body, headerLength }), "example");

interface SampleTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly attributes: JsonObject;
  readonly data: Uint8Array<ArrayBuffer>;
  /** Whether the data is the bytes of the one element of BYTES, without their length. */
  readonly isElement: boolean;
  readonly isBytesTensor: boolean;
  readonly isRequired: boolean;
}

function tensorFrom(service: CompiledService, input: InputDefinition, extent: Extent): SampleTensor | undefined {
  const { name, type, required: isRequired } = input;
  const key = `inputs.${name}.attributes_schema`;
  const sample = sampleDataFor(input, encodingsOf(readDefinedSchema(service.id, key, input.attributesSchema)));
  if (sample === undefined) return undefined;
  const data = new Uint8Array(sample.data);
  const { shape: size, ...stated } = sample.attributes;
  const attributes = { ...sampleOf(service.id, key, input.attributesSchema, extent), ...stated };
  const kind = service.inputByName.get(name)?.tensor;
  const common = { name, attributes, data, isRequired };
  if (kind === undefined) return { ...common, datatype: "BYTES", shape: [1], isElement: true, isBytesTensor: false };
  const said: Record<string, string> = size === undefined ? {} : { shape: JSON.stringify(size) };
  const part: Part = { $typeName: "athena.v1.Part", name, type, attributes: said, data };
  try {
    const { datatype, shape } = tensorFromPart(part, kind);
    return { ...common, datatype, shape, isElement: false, isBytesTensor: datatype === "BYTES" };
  } catch {
    // The definition's example is not what the definition says.
    return undefined;
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The input in JSON; undefined for data that has no such form. */
function jsonInput({ name, datatype, shape, attributes, data, isElement }: SampleTensor) {
  const parameters = Object.keys(attributes).length === 0 ? {} : { parameters: attributes };
  try {
    const elements: unknown = isElement ? [strictUtf8.decode(data)] : JSON.parse(elementsOf(datatype, data));
    return { name, datatype, shape, ...parameters, data: elements };
  } catch {
    return undefined;
  }
}

function elementsOf(datatype: string, data: Uint8Array): string {
  return jsonFromData(
    datatype as Parameters<typeof jsonFromData>[0],
    data,
    (what) => new ServingError("SCHEMA_VIOLATION", what),
  );
}

/** Whether what comes back can be told in JSON; bytes that are no text mostly cannot. */
function hasJsonOutputs({ outputs }: CompiledService): boolean {
  return outputs.every(({ tensor, expected }) =>
    tensor === undefined ? expected.type === PartType.TEXT : tensor.datatype !== "FP16" && tensor.datatype !== "BF16",
  );
}

function sampleOf(service: string, key: string, text: string, extent: Extent): JsonObject {
  const sample = sampleFrom(readDefinedSchema(service, key, text) ?? { type: "object" }, extent);
  return isRecord(sample) ? sample : {};
}
