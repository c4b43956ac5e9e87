import type { ServingError } from "../../../proto/errors.ts";
import { bytesElements, type Datatype } from "../../../proto/tensor.ts";
import { integerArrays } from "./elements.ts";

/** Makes the error for elements that JSON cannot hold. */
export type RefuseElements = (what: string) => ServingError;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The elements of a tensor as the text of a flat JSON array; integers with all of their digits. Throws what `refuse`
 * makes for what JSON cannot hold: FP16 and BF16, values that are not finite, bytes that are not UTF-8.
 */
export function jsonFromData(datatype: Datatype, data: Uint8Array, refuse: RefuseElements): string {
  switch (datatype) {
    case "BOOL":
      return `[${Array.from(data, (value) => value !== 0).join(",")}]`;
    case "BYTES":
      return jsonFromElements(bytesElements(data) ?? [], refuse);
    case "FP32":
      return jsonFromFloats(new Float32Array(aligned(data)), refuse);
    case "FP64":
      return jsonFromFloats(new Float64Array(aligned(data)), refuse);
    case "FP16":
    case "BF16":
      throw refuse(`${datatype} has no JSON form`);
    default:
      return `[${new integerArrays[datatype](aligned(data)).join(",")}]`;
  }
}

/** Elements of BYTES as the text of a JSON array; otherwise as {@link jsonFromData}. */
export function jsonFromElements(elements: readonly Uint8Array[], refuse: RefuseElements): string {
  try {
    return JSON.stringify(elements.map((element) => strictUtf8.decode(element)));
  } catch {
    throw refuse("it has bytes that are not UTF-8");
  }
}

/** Data may stand anywhere in an answer, but a typed array begins at a multiple of its elements' size: a copy does. */
function aligned(data: Uint8Array): ArrayBuffer {
  return new Uint8Array(data).buffer;
}

function jsonFromFloats(values: Float32Array | Float64Array, refuse: RefuseElements): string {
  let hasNegativeZero = false;
  for (const value of values) {
    if (!Number.isFinite(value)) throw refuse("it has values that are not finite");
    if (Object.is(value, -0)) hasNegativeZero = true;
  }
  // A number's own text drops the sign of zero.
  if (hasNegativeZero) return `[${Array.from(values, (value) => (Object.is(value, -0) ? "-0.0" : value)).join(",")}]`;
  return `[${values.join(",")}]`;
}
