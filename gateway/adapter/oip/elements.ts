import type { ServingError } from "../../../proto/errors.ts";
import { bytesFromElements, type Datatype } from "../../../proto/tensor.ts";

/** Makes the error for an element that is wrong in this way. */
export type RefuseElement = (what: string) => ServingError;

/** What elements of the integer datatypes are kept in. */
export const integerArrays = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
} as const;

type SmallInteger = Exclude<keyof typeof integerArrays, "INT64" | "UINT64">;

/** The least and the greatest of each. */
const ranges: Readonly<Record<SmallInteger, readonly [number, number]>> = {
  INT8: [-(2 ** 7), 2 ** 7 - 1],
  INT16: [-(2 ** 15), 2 ** 15 - 1],
  INT32: [-(2 ** 31), 2 ** 31 - 1],
  UINT8: [0, 2 ** 8 - 1],
  UINT16: [0, 2 ** 16 - 1],
  UINT32: [0, 2 ** 32 - 1],
};
const bigRanges = { INT64: [-(2n ** 63n), 2n ** 63n - 1n], UINT64: [0n, 2n ** 64n - 1n] } as const;

const utf8 = new TextEncoder();

/**
 * The raw data of a tensor with these elements, as JSON or a message of typed values gives them. Every machine that this
 * runs on is little-endian, as tensors are.
 *
 * Throws what `refuse` makes for an element that is none of the datatype's, and for FP16 and BF16, which have no other
 * form than the raw one.
 */
export function dataFromElements(datatype: Datatype, elements: readonly unknown[], refuse: RefuseElement): Uint8Array {
  const wrong = (index: number, what: string): ServingError => refuse(`data[${index}] must be ${what}`);
  switch (datatype) {
    case "BOOL":
      return Uint8Array.from(elements, (value, index) => {
        if (value === true || value === 1) return 1;
        if (value === false || value === 0) return 0;
        throw wrong(index, "true or false");
      });
    case "INT64":
    case "UINT64":
      return bytesOf(bigIntegersFrom(datatype, elements, wrong));
    case "FP32":
    case "FP64":
      return bytesOf(floatsFrom(datatype, elements, wrong));
    case "FP16":
    case "BF16":
      throw refuse(`datatype ${datatype} travels as binary data only`);
    case "BYTES":
      return bytesFromElements(elements.map((value, index) => bytesFrom(value, () => wrong(index, "a string"))));
    default:
      return bytesOf(integersFrom(datatype, elements, wrong));
  }
}

type Wrong = (index: number, what: string) => ServingError;

function integersFrom(datatype: SmallInteger, elements: readonly unknown[], wrong: Wrong) {
  const [min, max] = ranges[datatype];
  const data = new integerArrays[datatype](elements.length);
  for (let index = 0; index < elements.length; index++) {
    const value = elements[index];
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw wrong(index, `an integer from ${min} to ${max}`);
    }
    data[index] = value;
  }
  return data;
}

function bigIntegersFrom(datatype: "INT64" | "UINT64", elements: readonly unknown[], wrong: Wrong) {
  const [min, max] = bigRanges[datatype];
  const data = new integerArrays[datatype](elements.length);
  for (let index = 0; index < elements.length; index++) {
    const value = elements[index];
    // A number that is not safe was a float in the text, and has lost digits.
    const isExact = typeof value === "bigint" || Number.isSafeInteger(value);
    const integer = isExact ? BigInt(value as bigint | number) : undefined;
    if (integer === undefined || integer < min || integer > max) throw wrong(index, `an integer from ${min} to ${max}`);
    data[index] = integer;
  }
  return data;
}

function floatsFrom(datatype: "FP32" | "FP64", elements: readonly unknown[], wrong: Wrong) {
  const data = datatype === "FP32" ? new Float32Array(elements.length) : new Float64Array(elements.length);
  for (let index = 0; index < elements.length; index++) {
    const value = elements[index];
    if (typeof value !== "number" && typeof value !== "bigint") throw wrong(index, "a number");
    data[index] = Number(value);
    if (!Number.isFinite(data[index])) throw wrong(index, `a number that ${datatype} can hold`);
  }
  return data;
}

function bytesFrom(value: unknown, wrong: () => ServingError): Uint8Array {
  if (typeof value === "string") return utf8.encode(value);
  if (value instanceof Uint8Array) return value;
  throw wrong();
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
