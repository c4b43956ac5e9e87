import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { GRPCInferenceService, type ModelInferResponse } from "../../../proto/gen/inference/grpc_service_pb.ts";
import { ask as askRest, type Response } from "../../conformance/oip/cluster.ts";
import { dataFrom, joinBytes, jsonFrom, parseExactly, splitBytes, valuesFrom } from "./elements.ts";
import type { AnswerPart, Dialect, Question, QuestionPart } from "./question.ts";

interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  /** Its attributes beside those. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

function tensorOf({ name, attributes: { datatype, shape, ...parameters }, data }: QuestionPart): Tensor {
  if (datatype === undefined) return { name, datatype: "BYTES", shape: [1], parameters, data: joinBytes([data]) };
  return { name, datatype, shape: JSON.parse(shape ?? ""), parameters, data };
}

/** What is no tensor of its service is the one element of its tensor. */
function partOf({ name, datatype, shape, parameters, data }: Tensor, isTensor: boolean): AnswerPart {
  if (!isTensor) return { name, attributes: parameters, data: splitBytes(data)[0] ?? new Uint8Array() };
  return { name, attributes: { ...parameters, datatype, shape: JSON.stringify(shape) }, data };
}

const isOfTensors = ({ parts }: Question): boolean => parts.every(({ attributes }) => "datatype" in attributes);
const isRaw = (datatype: string): boolean => datatype === "FP16" || datatype === "BF16";

function isText(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Whether every value of a question has a form in JSON. */
function hasJson({ parts }: Question): boolean {
  return parts.map(tensorOf).every(({ datatype, data }) => {
    if (isRaw(datatype)) return false;
    return valuesFrom(datatype, data).every((value) =>
      value instanceof Uint8Array ? isText(value) : typeof value !== "number" || Number.isFinite(value),
    );
  });
}

/** How data travels over REST. */
interface RestForm {
  /** Whether an input's stands behind the JSON. */
  readonly isBinary: (tensor: Tensor) => boolean;
  /** What else the request says: how it wants outputs. */
  readonly rest: object;
}

function restRequest(question: Question, { isBinary, rest }: RestForm) {
  const tensors = question.parts.map(tensorOf);
  const inputs = tensors.map((tensor) => {
    const { name, datatype, shape, parameters, data } = tensor;
    const size = isBinary(tensor) ? { binary_data_size: data.length } : {};
    const head = JSON.stringify({ name, datatype, shape, parameters: { ...parameters, ...size } });
    return isBinary(tensor) ? head : `${head.slice(0, -1)},"data":${jsonFrom(datatype, data)}}`;
  });
  const outputs = Object.entries(question.wishes).map(([name, parameters]) => ({ name, parameters }));
  const start = JSON.stringify({ id: "an id", ...(outputs.length === 0 ? {} : { outputs }), ...rest }).slice(0, -1);
  const json = Buffer.from(`${start},"inputs":[${inputs.join(",")}]}`);
  const binary = tensors.filter(isBinary).map(({ data }) => data);
  const headers = binary.length === 0 ? {} : { "inference-header-content-length": String(json.length) };
  return { method: "POST", body: new Uint8Array(Buffer.concat([json, ...binary])), headers };
}

function restAnswer({ status, text, binary }: Response, isTensor: boolean): AnswerPart[] {
  if (status !== 200) throw new Error(text);
  const { outputs } = parseExactly(text) as { outputs: (Omit<Tensor, "data"> & { data?: unknown[] })[] };
  let at = 0;
  return outputs.map(({ name, datatype, shape, parameters: given = {}, data: values }) => {
    const { binary_data_size: size = 0, ...parameters } = given as Record<string, string> & {
      binary_data_size?: number;
    };
    const data = values === undefined ? binary.slice(at, at + size) : dataFrom(datatype, values);
    at += size;
    return partOf({ name, datatype, shape, parameters, data }, isTensor);
  });
}

const contentsFields: Readonly<Record<string, string>> = {
  BOOL: "boolContents",
  ...{ INT8: "intContents", INT16: "intContents", INT32: "intContents", INT64: "int64Contents" },
  ...{ UINT8: "uintContents", UINT16: "uintContents", UINT32: "uintContents", UINT64: "uint64Contents" },
  ...{ FP32: "fp32Contents", FP64: "fp64Contents", BYTES: "bytesContents" },
};

const stringsOf = (parameters: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [
      name,
      { parameterChoice: { case: "stringParam" as const, value } },
    ]),
  );

function grpcRequest({ service, parts, wishes }: Question, isTyped: boolean) {
  const tensors = parts.map(tensorOf);
  return {
    modelName: service,
    id: "an id",
    inputs: tensors.map(({ name, datatype, shape, parameters, data }) => {
      const contents = isTyped ? { contents: { [contentsFields[datatype] ?? ""]: valuesFrom(datatype, data) } } : {};
      return { name, datatype, shape: shape.map(BigInt), parameters: stringsOf(parameters), ...contents };
    }),
    outputs: Object.entries(wishes).map(([name, parameters]) => ({ name, parameters: stringsOf(parameters) })),
    rawInputContents: isTyped ? [] : tensors.map(({ data }) => data),
  };
}

function grpcAnswer(response: ModelInferResponse | undefined, isTensor: boolean): AnswerPart[] {
  const { outputs = [], rawOutputContents = [] } = response ?? {};
  return outputs.map(({ name, datatype, shape, parameters }, index) => {
    const texts = Object.entries(parameters).map(([key, { parameterChoice }]) => [key, String(parameterChoice.value)]);
    const data = rawOutputContents[index] ?? new Uint8Array();
    const tensor = { name, datatype, shape: shape.map(Number), parameters: Object.fromEntries(texts), data };
    return partOf(tensor, isTensor);
  });
}

/** The Open Inference Protocol over REST, in each form of its data. */
function createRestDialects(base: string): Readonly<Record<string, Dialect>> {
  const post = async (question: Question, init: RequestInit): Promise<AnswerPart[]> => {
    const answer = await askRest(`${base}/v2/models/${question.service}/infer`, init);
    return restAnswer(answer, isOfTensors(question));
  };
  const inForm = (form: RestForm) => (question: Question) => post(question, restRequest(question, form));
  return {
    "inference protocol, JSON": {
      ask: inForm({ isBinary: () => false, rest: {} }),
      takes: hasJson,
    },
    "inference protocol, binary data": {
      ask: inForm({ isBinary: () => true, rest: { parameters: { binary_data_output: true } } }),
    },
    "inference protocol, JSON beside binary data": {
      ask: inForm({
        isBinary: ({ datatype }) => isRaw(datatype),
        rest: { parameters: { binary_data_output: true } },
      }),
      takes: (question) =>
        hasJson({ ...question, parts: question.parts.filter((part) => !isRaw(tensorOf(part).datatype)) }),
    },
    "inference protocol, raw data": {
      ask: (question) => {
        const [part] = question.parts;
        const body = new Uint8Array(part?.data ?? []);
        return post(question, { method: "POST", body, headers: { "inference-header-content-length": "0" } });
      },
      // It says nothing but the data.
      takes: ({ parts, wishes }) =>
        parts.length === 1 &&
        Object.keys(wishes).length === 0 &&
        parts.every(({ attributes: { datatype, shape, ...rest } }) => Object.keys(rest).length === 0),
    },
  };
}

/** The Open Inference Protocol over gRPC. */
function createGrpcDialects(grpc: string): Readonly<Record<string, Dialect>> {
  const client: Client<typeof GRPCInferenceService> = createClient(
    GRPCInferenceService,
    createGrpcTransport({ baseUrl: grpc }),
  );
  const unary = (isTyped: boolean) => async (question: Question) =>
    grpcAnswer(await client.modelInfer(grpcRequest(question, isTyped)), isOfTensors(question));
  return {
    "inference protocol, gRPC": { ask: unary(false) },
    "inference protocol, gRPC with typed contents": {
      ask: unary(true),
      takes: ({ parts }) => parts.every((part) => !isRaw(tensorOf(part).datatype)),
    },
    "inference protocol, gRPC stream": {
      async ask(question) {
        async function* requests() {
          yield grpcRequest(question, false);
        }
        const parts: AnswerPart[] = [];
        for await (const { inferResponse, errorMessage } of client.modelStreamInfer(requests())) {
          if (errorMessage !== "") throw new Error(errorMessage);
          parts.push(...grpcAnswer(inferResponse, isOfTensors(question)));
        }
        return parts;
      },
    },
  };
}

/** The Open Inference Protocol in all of its forms. */
export function createOpenInferenceDialects(base: string, grpc: string): Readonly<Record<string, Dialect>> {
  return { ...createRestDialects(base), ...createGrpcDialects(grpc) };
}
