import type { Datatype } from "../../../../../proto/tensor.ts";

/** The Open Inference Protocol's names of ONNX Runtime's element types. */
const datatypes: Readonly<Record<string, Datatype>> = {
  bool: "BOOL",
  int8: "INT8",
  int16: "INT16",
  int32: "INT32",
  int64: "INT64",
  uint8: "UINT8",
  uint16: "UINT16",
  uint32: "UINT32",
  uint64: "UINT64",
  float16: "FP16",
  float32: "FP32",
  float64: "FP64",
  string: "BYTES",
};

/** The protocol's name of a type of ONNX Runtime; undefined for one that it has none for, such as int4. */
export function datatypeFromOrt(type: string): Datatype | undefined {
  return Object.hasOwn(datatypes, type) ? datatypes[type] : undefined;
}

/** The typed array in which ONNX Runtime takes the elements of a datatype; 16-bit floats as their bits. */
export function elementsFromBytes(datatype: Exclude<Datatype, "BYTES" | "BF16">, bytes: Uint8Array) {
  const { buffer, byteOffset, byteLength } = aligned(bytes);
  switch (datatype) {
    case "BOOL":
    case "UINT8":
      return new Uint8Array(buffer, byteOffset, byteLength);
    case "INT8":
      return new Int8Array(buffer, byteOffset, byteLength);
    case "INT16":
      return new Int16Array(buffer, byteOffset, byteLength / 2);
    case "UINT16":
    case "FP16":
      return new Uint16Array(buffer, byteOffset, byteLength / 2);
    case "INT32":
      return new Int32Array(buffer, byteOffset, byteLength / 4);
    case "UINT32":
      return new Uint32Array(buffer, byteOffset, byteLength / 4);
    case "FP32":
      return new Float32Array(buffer, byteOffset, byteLength / 4);
    case "INT64":
      return new BigInt64Array(buffer, byteOffset, byteLength / 8);
    case "UINT64":
      return new BigUint64Array(buffer, byteOffset, byteLength / 8);
    case "FP64":
      return new Float64Array(buffer, byteOffset, byteLength / 8);
  }
}

/** A typed array must begin at a multiple of its element's size; data out of a frame begins anywhere. */
function aligned(bytes: Uint8Array): Uint8Array {
  // A Buffer's own slice() would be a view.
  return bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
}
