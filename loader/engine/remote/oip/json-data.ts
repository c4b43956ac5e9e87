import {
  bytesElements,
  bytesFromElements,
  type Datatype,
  elementCount,
  type Tensor,
} from "../../../../proto/tensor.ts";

/** Nesting of a tensor's JSON beyond this is no tensor. */
const maxDepth = 32;

type NumberArray =
  | Int8ArrayConstructor
  | Int16ArrayConstructor
  | Int32ArrayConstructor
  | Uint8ArrayConstructor
  | Uint16ArrayConstructor
  | Uint32ArrayConstructor
  | Float32ArrayConstructor
  | Float64ArrayConstructor;

/** Little-endian, as the protocol is, on every machine that Bun runs on. */
const numberArrays: Partial<Record<Datatype, NumberArray>> = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** How the elements of BYTES stand in JSON: as UTF-8 text, or as base64. */
export type BytesText = "utf8" | "base64";

/**
 * The elements of a tensor as the text of a flat JSON array; INT64 and UINT64 with every digit.
 *
 * @throws RangeError that says what JSON cannot carry: FP16, BF16, numbers that are not finite, bytes that are not UTF-8.
 */
export function jsonFromTensor({ datatype, data }: Tensor, bytesText: BytesText): string {
  if (datatype === "BYTES") return JSON.stringify(bytesElements(data)?.map((bytes) => textFromBytes(bytes, bytesText)));
  if (datatype === "BOOL") return JSON.stringify(Array.from(data, (value) => value !== 0));
  // A copy: the data may lie where no typed array may begin.
  const { buffer } = data.slice();
  if (datatype === "INT64") return `[${new BigInt64Array(buffer).join()}]`;
  if (datatype === "UINT64") return `[${new BigUint64Array(buffer).join()}]`;
  const NumberArray = numberArrays[datatype];
  if (NumberArray === undefined) throw new RangeError(`${datatype} can travel in binary only`);
  const numbers = new NumberArray(buffer);
  if (!numbers.every(Number.isFinite)) throw new RangeError("NaN and infinity can travel in binary only");
  return `[${numbers.join()}]`;
}

/**
 * The data of a tensor whose elements stand in JSON, nested or flat; null is NaN. Integers beyond 2^53 must be bigint.
 *
 * @throws RangeError that says what is wrong.
 */
export function dataFromJson(
  datatype: Datatype,
  shape: readonly number[],
  json: unknown,
  bytesText: BytesText,
): Uint8Array {
  const elements: unknown[] = [];
  flatten(json, 0, elements);
  if (elements.length !== elementCount(shape)) throw new RangeError("its data does not fit its shape");
  if (datatype === "BYTES") return bytesFromElements(elements.map((element) => bytesFromText(element, bytesText)));
  if (datatype === "BOOL") return Uint8Array.from(elements, boolFrom);
  if (datatype === "INT64")
    return bytesOf(BigInt64Array.from(elements, (element) => exactBigint(element, BigInt.asIntN)));
  if (datatype === "UINT64")
    return bytesOf(BigUint64Array.from(elements, (element) => exactBigint(element, BigInt.asUintN)));
  return bytesOf(numbersFrom(datatype, elements));
}

function numbersFrom(datatype: Datatype, elements: readonly unknown[]) {
  const NumberArray = numberArrays[datatype];
  if (NumberArray === undefined) throw new RangeError(`${datatype} can travel in binary only`);
  const isFloat = datatype === "FP32" || datatype === "FP64";
  const numbers = new NumberArray(elements.length);
  for (const [index, element] of elements.entries()) {
    const number = element === null && isFloat ? Number.NaN : element;
    if (typeof number !== "number") throw new RangeError("an element is not a number");
    numbers[index] = number;
    if (!isFloat && numbers[index] !== number) throw new RangeError(`an element is not of ${datatype}`);
  }
  return numbers;
}

/** Parses JSON; beside a tensor of 64 bits, integers beyond 2^53 become bigint: the plain parser would round them. */
export function parseExactly(text: string): unknown {
  if (!/"U?INT64"/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value: unknown, context?: { readonly source?: string }) => {
    const isRounded = typeof value === "number" && !Number.isSafeInteger(value);
    return isRounded && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context?.source ?? "") : value;
  });
}

function flatten(json: unknown, depth: number, elements: unknown[]): void {
  if (!Array.isArray(json) || depth > maxDepth) throw new RangeError("its data is not an array");
  for (const item of json) {
    if (Array.isArray(item)) flatten(item, depth + 1, elements);
    else elements.push(item);
  }
}

function boolFrom(element: unknown): number {
  if (element === true || element === 1) return 1;
  if (element === false || element === 0) return 0;
  throw new RangeError("an element is not true or false");
}

function exactBigint(element: unknown, wrap: (bits: number, value: bigint) => bigint): bigint {
  if (typeof element === "bigint" || Number.isSafeInteger(element)) {
    const value = BigInt(element as bigint | number);
    if (wrap(64, value) === value) return value;
  }
  throw new RangeError("an element is not an integer of 64 bits");
}

function textFromBytes(bytes: Uint8Array, bytesText: BytesText): string {
  if (bytesText === "base64") return Buffer.from(bytes).toString("base64");
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new RangeError("bytes that are not UTF-8 text can travel in binary only");
  }
}

function bytesFromText(element: unknown, bytesText: BytesText): Uint8Array {
  if (typeof element !== "string") throw new RangeError("an element is not a text");
  return Buffer.from(element, bytesText);
}

function bytesOf(array: { readonly buffer: ArrayBufferLike }): Uint8Array {
  return new Uint8Array(array.buffer);
}
