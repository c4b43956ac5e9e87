import type { Crop } from "./crop.ts";

/** Which columns of a crop carry ink: 1, or 0 where the column is as even as the line's gaps are. */
export type InkColumns = Uint8Array;

/** A column is empty when its unevenness is below this share of the way from the evenest to an inked one. */
const emptyShare = 0.2;

/** From this share on the evenest column is no evener than the others. */
const maxEvenness = 0.9;

/**
 * Tells columns of letters from columns between them by how uneven each is from top to bottom: independent of which is
 * the darker, and of noise that lies over both.
 */
export function inkColumnsFromCrop(crop: Crop): InkColumns {
  const { width, height, planes } = crop;
  const unevenness = new Float32Array(width);
  for (let x = 0; x < width; x++) {
    let deviation = 0;
    for (let plane = 0; plane < 3; plane++) {
      let sum = 0;
      let squares = 0;
      for (let y = 0; y < height; y++) {
        const value = planes[(plane * height + y) * width + x] ?? 0;
        sum += value;
        squares += value * value;
      }
      deviation += Math.max(0, squares / height - (sum / height) ** 2);
    }
    unevenness[x] = Math.sqrt(deviation);
  }
  const sorted = unevenness.toSorted();
  const even = sorted[0] ?? 0;
  const inked = sorted[Math.floor(width * 0.75)] ?? 0;
  // Then none is known to be empty.
  if (even > maxEvenness * inked) return new Uint8Array(width).fill(1);
  const limit = even + emptyShare * (inked - even);
  return Uint8Array.from(unevenness, (value) => (value > limit ? 1 : 0));
}

/** The widest run of empty columns in [from, to); undefined when every column there carries ink. */
export function widestGap(ink: InkColumns, from: number, to: number): { from: number; to: number } | undefined {
  let widest: { from: number; to: number } | undefined;
  let start = from;
  for (let x = from; x <= to; x++) {
    if (x < to && ink[x] === 0) continue;
    if (x - start > (widest === undefined ? 0 : widest.to - widest.from)) widest = { from: start, to: x };
    start = x + 1;
  }
  return widest;
}
