import { elementBytes, elementCount, type Tensor } from "../../../../../proto/tensor.ts";
import type { Model, TensorSpec } from "./model.ts";
import { joinAll, splitRows, type Tensors } from "./rows.ts";

/** What a model showed when it was run with inputs of our own making. */
export interface Probe {
  /** Whether some input could be made that the model computes. */
  readonly ran: boolean;
  /** Whether rows that are computed together come out as they do alone; undefined when that could not be tried. */
  readonly isRowwise: boolean | undefined;
}

/** Tried in this order for every size that is open but the first: pictures want multiples of 32, sequences take anything. */
const openSizes = [32, 1, 8, 64, 224];
/** Inputs larger than this would make a start slow. */
const maxElements = 4_000_000;
/** Differences that come from the order of additions, not from another row. */
const relativeTolerance = 1e-3;

/** Whether every input and output has a first dimension of any size: the first condition for computing rows together. */
export function hasOpenRows({ inputs, outputs }: Pick<Model, "inputs" | "outputs">): boolean {
  const specs = [...inputs, ...outputs];
  return inputs.length > 0 && specs.every(({ shape }) => shape[0] === -1);
}

/**
 * Runs a model once, which warms it up, and, where its rows are open, finds out whether they are independent: an open first
 * dimension may be a sequence as well, and joining two callers' sequences would give both a wrong answer.
 */
export async function probeModel(model: Model): Promise<Probe> {
  for (const openSize of openSizes) {
    const first = inputsFor(model.inputs, openSize, 1);
    const second = inputsFor(model.inputs, openSize, 2);
    if (first === undefined || second === undefined) continue;
    let alone: Tensors;
    try {
      alone = await model.run(first);
    } catch {
      // Not a size that this model takes.
      continue;
    }
    const isRowwise = hasOpenRows(model) ? await isSameTogether(model, first, second, alone) : undefined;
    return { ran: true, isRowwise };
  }
  return { ran: false, isRowwise: undefined };
}

async function isSameTogether(model: Model, first: Tensors, second: Tensors, alone: Tensors): Promise<boolean> {
  try {
    const other = await model.run(second);
    const together = await model.run(joinAll([first, second]));
    return Object.entries(together).every(([name, tensor]) => {
      const [a, b] = splitRows(tensor, [1, 1]) ?? [];
      return isClose(a, alone[name]) && isClose(b, other[name]);
    });
  } catch {
    return false;
  }
}

/** Inputs of one row; undefined when they would be too large. */
function inputsFor(specs: readonly TensorSpec[], openSize: number, seed: number): Tensors | undefined {
  const tensors: Record<string, Tensor> = {};
  for (const { name, datatype, shape } of specs) {
    const sizes = shape.map((size, axis) => (size >= 0 ? size : axis === 0 ? 1 : openSize));
    const count = elementCount(sizes);
    if (count > maxElements) return undefined;
    tensors[name] = { datatype, shape: sizes, data: dataFor(datatype, count, seed) };
  }
  return tensors;
}

/** Elements that differ from one another and from one seed to the next: fractions below 1, and 0 or 1, which are valid indices. */
function dataFor(datatype: Tensor["datatype"], count: number, seed: number): Uint8Array {
  if (datatype === "BYTES") {
    const data = new Uint8Array(count * 5);
    for (let at = 0; at < data.length; at += 5) data.set([1, 0, 0, 0, 96 + seed], at);
    return data;
  }
  const random = createRandom(seed);
  const data = new Uint8Array(count * elementBytes[datatype]);
  const view = new DataView(data.buffer);
  for (let index = 0; index < count; index += 1) {
    const value = random();
    if (datatype === "FP32") view.setFloat32(index * 4, value, true);
    else if (datatype === "FP64") view.setFloat64(index * 8, value, true);
    else if (datatype === "FP16") view.setFloat16(index * 2, value, true);
    // The lowest byte of an integer, whatever its width.
    else view.setUint8(index * elementBytes[datatype], value < 0.5 ? 0 : 1);
  }
  return data;
}

/** Numbers in [0, 1), always the same for a seed: xorshift. */
function createRandom(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4_294_967_296;
  };
}

function isClose(a: Tensor | undefined, b: Tensor | undefined): boolean {
  if (a === undefined || b === undefined || a.shape.join() !== b.shape.join()) return false;
  if (a.datatype !== "FP32" && a.datatype !== "FP64") return Buffer.compare(a.data, b.data) === 0;
  const [left, right] = [floatsOf(a), floatsOf(b)];
  return left.every((value, index) => {
    const other = right[index] ?? Number.NaN;
    return Object.is(value, other) || Math.abs(value - other) <= relativeTolerance * Math.max(1, Math.abs(value));
  });
}

function floatsOf({ datatype, data }: Tensor): Float32Array | Float64Array {
  const { buffer } = new Uint8Array(data);
  return datatype === "FP32" ? new Float32Array(buffer) : new Float64Array(buffer);
}
