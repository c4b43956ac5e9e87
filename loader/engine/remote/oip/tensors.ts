import { ServingError } from "../../../../proto/errors.ts";
import type { InferRequest } from "../../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, type PartDescription, PartType } from "../../../../proto/gen/athena/v1/part_pb.ts";
import {
  bytesElements,
  bytesFromElements,
  elementBytes,
  elementCount,
  isDatatype,
  partFromTensor,
  type Tensor,
  tensorFromPart,
} from "../../../../proto/tensor.ts";
import { unusableError } from "../server-error.ts";
import type { RemoteModel, RemoteTensor } from "./model.ts";

/** A tensor under its name. */
export interface NamedTensor extends Tensor {
  readonly name: string;
}

/**
 * The request's parts as the model's tensors. A part of the type `other` is a tensor, as `proto/tensor.ts` reads it; any
 * other part is its data as one element of BYTES.
 *
 * @throws ServingError INVALID_INPUT, naming the part.
 */
export function tensorsFromParts({ parts }: InferRequest, { inputs }: RemoteModel): NamedTensor[] {
  return parts.map((part) => {
    const declared = inputs.find(({ name }) => name === part.name);
    if (declared === undefined && inputs.length > 0) {
      throw new ServingError("INVALID_INPUT", `payload.${part.name.slice(0, 64)}: the model has no such input`);
    }
    const tensor =
      part.type === PartType.OTHER ? tensorFromPart(part, declared ?? undeclared(part)) : element(part, declared);
    return { name: part.name, ...tensor };
  });
}

function element({ data }: Part, declared: RemoteTensor | undefined): Tensor {
  const shape = declared === undefined ? [1] : declared.shape.map(() => 1);
  return { datatype: "BYTES", shape, data: bytesFromElements([data]) };
}

/** What a part says about itself, where the server's metadata says nothing. */
function undeclared({ name, attributes }: Part) {
  const { datatype = "", shape = "" } = attributes;
  if (datatype !== "" && shape !== "") return { datatype, shape: shape.split(",").map(() => -1) };
  throw new ServingError(
    "INVALID_INPUT",
    `payload.${name.slice(0, 64)}: the attributes datatype and shape are needed, since the model server does not tell them`,
  );
}

/**
 * The outputs that the caller expects, as parts, each of the type that it has in the service's definition. What the
 * server did not answer is left out.
 *
 * @throws ServingError OUTPUT_UNEXPECTED for a tensor whose data does not fit its shape, or that is no single element of
 * BYTES where the service declares a plain part.
 */
export function partsFromTensors(
  service: string,
  tensors: readonly NamedTensor[],
  expects: readonly PartDescription[],
): Part[] {
  return expects.flatMap(({ name, type }) => {
    const tensor = tensors.find((one) => one.name === name);
    if (tensor === undefined) return [];
    assertFits(service, tensor);
    if (type === PartType.OTHER) return [partFromTensor(name, tensor)];
    const elements = tensor.datatype === "BYTES" ? bytesElements(tensor.data) : undefined;
    const [data, ...more] = elements ?? [];
    if (data === undefined || more.length > 0) {
      throw unusableError(service, `output '${name}' is not one element of BYTES`);
    }
    return [{ $typeName: "athena.v1.Part", name, type, attributes: {}, data }];
  });
}

/** The datatype and shape of an output as the server states them, checked. Throws ServingError OUTPUT_UNEXPECTED. */
export function statedKind(
  service: string,
  name: string,
  datatype: unknown,
  shape: readonly unknown[],
): Pick<Tensor, "datatype"> & { readonly shape: number[] } {
  const sizes = shape.map(Number);
  if (
    typeof datatype !== "string" ||
    !isDatatype(datatype) ||
    !sizes.every((size) => Number.isSafeInteger(size) && size >= 0)
  ) {
    throw unusableError(service, `output '${name}' has no datatype and shape that can be read`);
  }
  return { datatype, shape: sizes };
}

function assertFits(service: string, { name, datatype, shape, data }: NamedTensor): void {
  const count = elementCount(shape);
  const fits =
    datatype === "BYTES" ? bytesElements(data)?.length === count : data.length === count * elementBytes[datatype];
  if (!fits) throw unusableError(service, `output '${name}' has data that does not fit its shape`);
}
