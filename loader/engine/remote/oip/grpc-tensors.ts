import type {
  InferTensorContents,
  ModelInferResponse,
  ModelInferResponse_InferOutputTensor,
} from "../../../../proto/gen/inference/grpc_service_pb.ts";
import type { Datatype } from "../../../../proto/tensor.ts";
import { unusableError } from "../server-error.ts";
import { dataFromJson } from "./json-data.ts";
import { type NamedTensor, statedKind } from "./tensors.ts";

/**
 * The tensors of an answer: raw bytes, or typed contents.
 *
 * @throws ServingError OUTPUT_UNEXPECTED when it cannot be read.
 */
export function tensorsFromResponse(service: string, response: ModelInferResponse): NamedTensor[] {
  const { outputs, rawOutputContents: raw } = response;
  const isAllRaw = raw.length === outputs.length;
  let next = 0;
  const tensors = outputs.map((output) => {
    const { name, datatype, shape, contents } = output;
    const kind = statedKind(service, name, datatype, shape);
    // The protocol says all or none; KServe's models may mix them, the raw ones in the order of theirs.
    if (!isAllRaw && (contents !== undefined || raw.length === 0)) {
      return { name, ...kind, data: dataFromContents(service, output, kind) };
    }
    const data = raw[next];
    next += 1;
    if (data === undefined) throw unusableError(service, `output '${name}' has no data`);
    return { name, ...kind, data };
  });
  if (next !== raw.length) throw unusableError(service, "its raw contents are not its outputs");
  return tensors;
}

function dataFromContents(
  service: string,
  { name, contents }: ModelInferResponse_InferOutputTensor,
  { datatype, shape }: { readonly datatype: Datatype; readonly shape: readonly number[] },
): Uint8Array {
  const elements = contents === undefined ? [] : elementsOf(contents, datatype);
  try {
    return dataFromJson(datatype, shape, elements, "base64");
  } catch (error) {
    if (error instanceof RangeError) throw unusableError(service, `output '${name}': ${error.message}`);
    throw error;
  }
}

function elementsOf(contents: InferTensorContents, datatype: Datatype): readonly unknown[] {
  switch (datatype) {
    case "BOOL":
      return contents.boolContents;
    case "INT8":
    case "INT16":
    case "INT32":
      return contents.intContents;
    case "INT64":
      return contents.int64Contents;
    case "UINT8":
    case "UINT16":
    case "UINT32":
      return contents.uintContents;
    case "UINT64":
      return contents.uint64Contents;
    case "FP32":
      return contents.fp32Contents;
    case "FP64":
      return contents.fp64Contents;
    case "BYTES":
      return contents.bytesContents.map((bytes) => Buffer.from(bytes).toString("base64"));
    default:
      return [];
  }
}
