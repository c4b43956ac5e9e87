import type { Picture } from "./picture.ts";

/** Which source pixels make one target pixel, and how much each counts: `weights[index * taps ... ]` from `first[index]`. */
interface Taps {
  readonly first: Int32Array;
  readonly weights: Float32Array;
  readonly taps: number;
}

/** Scale and offset of each plane of a tensor: value = byte * scale + offset. Planes are blue, green, red. */
export interface Normalization {
  readonly scale: readonly [number, number, number];
  readonly offset: readonly [number, number, number];
}

/**
 * Resizes a picture into the three planes (blue, green, red) of a tensor of `width` x `height`. Bilinear when it grows;
 * when it shrinks every source pixel counts, so that thin strokes do not break up.
 */
export function planesFromPicture(
  picture: Picture,
  width: number,
  height: number,
  normalization: Normalization,
): Float32Array<ArrayBuffer> {
  const columns = tapsFor(picture.width, width);
  const rows = tapsFor(picture.height, height);
  const planes = new Float32Array(3 * width * height);
  const blended = new Float32Array(picture.width * 3);
  for (let y = 0; y < height; y++) {
    blendRows(picture, rows, y, blended);
    for (let channel = 0; channel < 3; channel++) {
      const plane = 2 - channel;
      const scale = normalization.scale[plane] ?? 1;
      const offset = normalization.offset[plane] ?? 0;
      writeRow(blended, channel, columns, planes, (plane * height + y) * width, scale, offset);
    }
  }
  return planes;
}

function tapsFor(source: number, target: number): Taps {
  const ratio = source / target;
  const support = Math.max(1, ratio);
  const taps = Math.min(source, Math.ceil(support) * 2 + 1);
  const first = new Int32Array(target);
  const weights = new Float32Array(target * taps);
  for (let index = 0; index < target; index++) {
    const center = (index + 0.5) * ratio - 0.5;
    const start = Math.min(Math.max(0, Math.ceil(center - support)), source - taps);
    first[index] = start;
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) sum += Math.max(0, 1 - Math.abs(start + tap - center) / support);
    for (let tap = 0; tap < taps; tap++) {
      weights[index * taps + tap] = Math.max(0, 1 - Math.abs(start + tap - center) / support) / sum;
    }
  }
  return { first, weights, taps };
}

function blendRows(picture: Picture, rows: Taps, y: number, blended: Float32Array): void {
  const { data, width } = picture;
  const length = width * 3;
  blended.fill(0);
  for (let tap = 0; tap < rows.taps; tap++) {
    const weight = rows.weights[y * rows.taps + tap] ?? 0;
    if (weight === 0) continue;
    const rowAt = ((rows.first[y] ?? 0) + tap) * length;
    for (let index = 0; index < length; index++) {
      blended[index] = (blended[index] ?? 0) + weight * (data[rowAt + index] ?? 0);
    }
  }
}

function writeRow(
  blended: Float32Array,
  channel: number,
  columns: Taps,
  planes: Float32Array,
  at: number,
  scale: number,
  offset: number,
): void {
  const { first, weights, taps } = columns;
  for (let x = 0; x < first.length; x++) {
    const from = (first[x] ?? 0) * 3 + channel;
    let value = 0;
    for (let tap = 0; tap < taps; tap++) value += (weights[x * taps + tap] ?? 0) * (blended[from + tap * 3] ?? 0);
    planes[at + x] = value * scale + offset;
  }
}
