import {
  bytesFromElements,
  type Datatype,
  elementBytes,
  elementCount,
  isDatatype,
  type Tensor,
  type TensorKind,
} from "../proto/tensor.ts";
import { CommandFailure } from "./failure.ts";

/** Enough for a picture or a batch of texts; a test need not fill a model's largest input. */
const maxElements = 16_777_216;

/**
 * A tensor of a kind: sizes that are open are 1, numbers come from a generator with a fixed seed, so that every run sends the
 * same. Fractions lie in [0, 1); whole numbers are 0 or 1, which masks and token ids of every model may be.
 *
 * @throws CommandFailure for a datatype that the protocol does not have, and for a tensor of more than 16 million elements.
 */
export function exampleTensor(kind: TensorKind): Tensor {
  const { datatype } = kind;
  if (!isDatatype(datatype))
    throw new CommandFailure(`a tensor has the datatype '${datatype}', which the protocol does not`);
  const shape = kind.shape.map((size) => (size < 0 ? 1 : Number(size)));
  const count = elementCount(shape);
  if (count > maxElements)
    throw new CommandFailure(`a tensor of shape [${shape}] is too large to make up: give it an example`);
  return { datatype, shape, data: dataOf(datatype, count, createRandom(1)) };
}

type Random = () => number;

function dataOf(datatype: Datatype, count: number, random: Random): Uint8Array {
  if (datatype === "BYTES") {
    return bytesFromElements(Array.from({ length: count }, () => new TextEncoder().encode("example")));
  }
  const size = elementBytes[datatype];
  const data = new Uint8Array(count * size);
  const view = new DataView(data.buffer);
  const write = writers[datatype];
  for (let at = 0; at < data.length; at += size) write(view, at, random());
  return data;
}

type Writer = (view: DataView, at: number, fraction: number) => void;

/** Little-endian, as tensors are; the lowest byte of a small whole number is all of it. */
const wholeNumber: Writer = (view, at, fraction) => view.setUint8(at, Math.round(fraction));

const writers: Readonly<Record<Exclude<Datatype, "BYTES">, Writer>> = {
  BOOL: wholeNumber,
  INT8: wholeNumber,
  INT16: wholeNumber,
  INT32: wholeNumber,
  INT64: wholeNumber,
  UINT8: wholeNumber,
  UINT16: wholeNumber,
  UINT32: wholeNumber,
  UINT64: wholeNumber,
  FP16: (view, at, fraction) => view.setFloat16(at, fraction, true),
  // The upper half of an FP32.
  BF16(view, at, fraction) {
    const half = new DataView(new ArrayBuffer(4));
    half.setFloat32(0, fraction);
    view.setUint16(at, half.getUint16(0), true);
  },
  FP32: (view, at, fraction) => view.setFloat32(at, fraction, true),
  FP64: (view, at, fraction) => view.setFloat64(at, fraction, true),
};

/** Mulberry32: fractions in [0, 1), the same ones for the same seed. */
function createRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
