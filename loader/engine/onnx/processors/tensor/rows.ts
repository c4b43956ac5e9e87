import { ServingError } from "../../../../../proto/errors.ts";
import { bytesElements, bytesFromElements, elementCount, type Tensor } from "../../../../../proto/tensor.ts";

/** The tensors of one request, or of one answer, by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** How many rows a tensor has: its first dimension. */
export function rowsOf({ shape }: Tensor): number {
  return shape[0] ?? 1;
}

/** One tensor with the rows of all, in order. They differ in nothing but the number of rows; one alone is given back as it is. */
export function joinRows(tensors: readonly [Tensor, ...Tensor[]]): Tensor {
  const [first, ...others] = tensors;
  if (others.length === 0) return first;
  const rows = tensors.reduce((sum, tensor) => sum + rowsOf(tensor), 0);
  const data = new Uint8Array(tensors.reduce((sum, tensor) => sum + tensor.data.length, 0));
  let at = 0;
  for (const tensor of tensors) {
    data.set(tensor.data, at);
    at += tensor.data.length;
  }
  return { ...first, shape: [rows, ...first.shape.slice(1)], data };
}

/** Cuts a tensor into these numbers of rows, as views; undefined when it does not have as many as they are together. */
export function splitRows(tensor: Tensor, counts: readonly number[]): Tensor[] | undefined {
  const rows = counts.reduce((sum, count) => sum + count, 0);
  if (tensor.shape.length === 0 || rowsOf(tensor) !== rows) return undefined;
  const { datatype, data } = tensor;
  const rest = tensor.shape.slice(1);
  const elements = datatype === "BYTES" ? bytesElements(data) : undefined;
  if (datatype === "BYTES" && elements === undefined) return undefined;
  const rowElements = elementCount(rest);
  const rowBytes = rows === 0 ? 0 : data.length / rows;
  let from = 0;
  return counts.map((count) => {
    const to = from + count;
    const cut =
      elements === undefined
        ? data.subarray(from * rowBytes, to * rowBytes)
        : bytesFromElements(elements.slice(from * rowElements, to * rowElements));
    from = to;
    return { datatype, shape: [count, ...rest], data: cut };
  });
}

/** How many rows a request has; its tensors have the same number. */
export function rowsOfAll(tensors: Tensors): number {
  return Math.max(...Object.values(tensors).map(rowsOf));
}

/**
 * Cuts the tensors of one run into those of its requests, which have these numbers of rows.
 *
 * @throws ServingError ENGINE_FAILED when a tensor does not have as many rows as they are together.
 */
export function separate(tensors: Tensors, counts: readonly number[]): Tensors[] {
  const separated = counts.map((): Record<string, Tensor> => ({}));
  for (const [name, tensor] of Object.entries(tensors)) {
    const cut = splitRows(tensor, counts);
    if (cut === undefined)
      throw new ServingError("ENGINE_FAILED", `the model's '${name}' does not have a row for each input row`);
    for (const [index, own] of separated.entries()) own[name] = cut[index] ?? tensor;
  }
  return separated;
}

/** Cuts the tensors of a request into pieces of at most this many rows. Throws as {@link separate}. */
export function piecesOf(tensors: Tensors, maxRows: number): Tensors[] {
  const counts: number[] = [];
  for (let left = rowsOfAll(tensors); left > 0; left -= maxRows) counts.push(Math.min(left, maxRows));
  return separate(tensors, counts);
}

/** The tensors of several requests, or of several pieces, as those of one. */
export function joinAll(all: readonly Tensors[]): Tensors {
  const joined: Record<string, Tensor> = {};
  for (const name of Object.keys(all[0] ?? {})) {
    const [first, ...others] = all.flatMap((tensors) => tensors[name] ?? []);
    if (first !== undefined) joined[name] = joinRows([first, ...others]);
  }
  return joined;
}
