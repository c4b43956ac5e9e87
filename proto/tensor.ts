import { ServingError } from "./errors.ts";
import { type Part, PartType } from "./gen/athena/v1/part_pb.ts";

/** Bytes of one element of each datatype of the Open Inference Protocol; BYTES has none of its own. */
export const elementBytes = {
  BOOL: 1,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: 0,
} as const;

/** A name of {@link elementBytes}. */
export type Datatype = keyof typeof elementBytes;

/** Tells whether text names a datatype. */
export function isDatatype(text: string): text is Datatype {
  return Object.hasOwn(elementBytes, text);
}

/**
 * A tensor as parts and engines carry it: row-major elements without padding, little-endian. An element of BYTES is its
 * length as an unsigned 32-bit number, then its bytes.
 */
export interface Tensor {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** What a tensor must be; -1 in the shape is any size. */
export interface TensorKind {
  readonly datatype: string;
  readonly shape: readonly (number | bigint)[];
}

/** More dimensions than any model has; each costs a step in every check. */
export const maxRank = 32;

/** How many elements a shape has. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** The part that carries a tensor. Its attributes `datatype` and `shape` (a JSON array) say what its data is. */
export function partFromTensor(name: string, { datatype, shape, data }: Tensor): Part {
  const attributes = { datatype, shape: JSON.stringify(shape) };
  return { $typeName: "athena.v1.Part", name, type: PartType.OTHER, attributes, data };
}

/** Makes the error for a tensor that is wrong in this way. */
export type RefuseTensor = (what: string) => ServingError;

/**
 * Reads the tensor of a part. A part that does not say its datatype has the declared one; one that does not say its shape
 * has the declared one too, with the one size that is open computed from the data.
 *
 * Throws what `refuse` makes (unless told, ServingError INVALID_INPUT that names the part) when the attributes are wrong,
 * are not what is declared, or do not fit the data.
 */
export function tensorFromPart(part: Part, declared: TensorKind, refuse: RefuseTensor = refusalOf(part)): Tensor {
  const datatype = part.attributes.datatype || declared.datatype;
  if (!isDatatype(datatype)) throw refuse(`datatype '${datatype.slice(0, 32)}' is none of the protocol's`);
  const kind = declared.shape.map(Number);
  const text = part.attributes.shape ?? "";
  const shape = text === "" ? shapeFromSize(datatype, kind, part.data) : parseShape(text);
  if (shape === undefined)
    throw refuse(`shape: expected ${JSON.stringify(kind)} as a JSON array, got '${text.slice(0, 64)}'`);
  const tensor = { datatype, shape, data: part.data };
  assertTensor(tensor, declared, refuse);
  return tensor;
}

/** Checks that a tensor is what is declared and that its data fits its shape; throws what `refuse` makes. */
export function assertTensor(tensor: Tensor, declared: TensorKind, refuse: RefuseTensor): void {
  const { datatype, shape } = tensor;
  if (datatype !== declared.datatype) throw refuse(`datatype must be ${declared.datatype}, got ${datatype}`);
  const kind = declared.shape.map(Number);
  if (shape.length !== kind.length || kind.some((size, axis) => size >= 0 && size !== shape[axis])) {
    throw refuse(`shape must be ${JSON.stringify(kind)}, got ${JSON.stringify(shape)}`);
  }
  assertDataFits(tensor, refuse);
}

/** Splits the data of a BYTES tensor into its elements, as views. Undefined when its lengths do not add up. */
export function bytesElements(data: Uint8Array): Uint8Array[] | undefined {
  const elements: Uint8Array[] = [];
  const count = walkElements(data, (start, end) => elements.push(data.subarray(start, end)));
  return count === undefined ? undefined : elements;
}

/** Goes from length to length; gives the number of elements, or undefined when the lengths do not add up. */
function walkElements(data: Uint8Array, visit: (start: number, end: number) => void): number | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let count = 0;
  let at = 0;
  while (at < data.length) {
    if (at + 4 > data.length) return undefined;
    const end = at + 4 + view.getUint32(at, true);
    if (end > data.length) return undefined;
    visit(at + 4, end);
    count += 1;
    at = end;
  }
  return count;
}

/** The data of a BYTES tensor with these elements. */
export function bytesFromElements(elements: readonly Uint8Array[]): Uint8Array {
  const data = new Uint8Array(elements.reduce((sum, element) => sum + 4 + element.length, 0));
  const view = new DataView(data.buffer);
  let at = 0;
  for (const element of elements) {
    view.setUint32(at, element.length, true);
    data.set(element, at + 4);
    at += 4 + element.length;
  }
  return data;
}

function refusalOf(part: Part): RefuseTensor {
  return (what) => new ServingError("INVALID_INPUT", `payload.${part.name}: ${what}`);
}

function assertDataFits({ datatype, shape, data }: Tensor, refuse: RefuseTensor): void {
  const count = elementCount(shape);
  if (datatype === "BYTES") {
    const elements = walkElements(data, () => {});
    if (elements === undefined) throw refuse("its data is not a row of elements with their lengths");
    if (elements !== count) throw refuse(`its shape has ${count} elements, its data ${elements}`);
    return;
  }
  const expected = count * elementBytes[datatype];
  if (data.length !== expected) throw refuse(`${expected} bytes expected for its shape, got ${data.length}`);
}

/** A JSON array, or its numbers with ";" between them, which is what the unified protocol makes of an array. */
function parseShape(text: string): number[] | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.startsWith("[") ? text : `[${text.replaceAll(";", ",")}]`);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parsed) || parsed.length > maxRank) return undefined;
  return parsed.every((size) => Number.isSafeInteger(size) && size >= 0) ? parsed : undefined;
}

/** The shape that the data must have when at most one size is open. */
function shapeFromSize(datatype: Datatype, kind: readonly number[], data: Uint8Array): number[] | undefined {
  const open = kind.filter((size) => size < 0).length;
  if (open === 0) return [...kind];
  if (open > 1) return undefined;
  const known = elementCount(kind.filter((size) => size >= 0));
  const count = datatype === "BYTES" ? walkElements(data, () => {}) : data.length / elementBytes[datatype];
  if (count === undefined || known === 0 || !Number.isInteger(count / known)) return undefined;
  return kind.map((size) => (size < 0 ? count / known : size));
}
