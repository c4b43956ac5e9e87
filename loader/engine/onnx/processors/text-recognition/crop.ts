import type { Picture } from "./picture.ts";
import { crossing, type MeasuredStrip } from "./strip.ts";

/** A line of text, straightened: three planes (blue, green, red) of values from -1 to 1. */
export interface Crop {
  readonly width: number;
  readonly height: number;
  readonly planes: Float32Array<ArrayBuffer>;
}

/** The recognition model's height. */
export const cropHeight = 48;

/** The model answers one step for so many columns. */
export const columnsPerStep = 8;

const minWidth = 4 * columnsPerStep;

/** The widest crop, 66 times as wide as high: longer lines are squeezed. */
const maxWidth = 3200;

/** The most samples along each side of a pixel. */
const maxSamples = 8;

/** Cuts a strip out of a picture and straightens it to the recognition model's height, in proportion. */
export function cropFromStrip(picture: Picture, strip: MeasuredStrip): Crop {
  const wanted = (strip.length / strip.thickness) * cropHeight;
  const steps = Math.ceil(Math.min(maxWidth, Math.max(minWidth, wanted)) / columnsPerStep);
  const width = steps * columnsPerStep;
  const samples = Math.min(maxSamples, Math.max(1, Math.round(strip.thickness / cropHeight)));
  const planes = new Float32Array(3 * width * cropHeight);
  for (let x = 0; x < width * samples; x++) {
    const { top, bottom } = crossing(strip, (x + 0.5) / (width * samples));
    const stepX = (bottom.x - top.x) / (cropHeight * samples);
    const stepY = (bottom.y - top.y) / (cropHeight * samples);
    const column = Math.floor(x / samples);
    for (let y = 0; y < cropHeight * samples; y++) {
      const at = Math.floor(y / samples) * width + column;
      addSample(picture, top.x + stepX * (y + 0.5), top.y + stepY * (y + 0.5), planes, at);
    }
  }
  const scale = 2 / (255 * samples * samples);
  for (let index = 0; index < planes.length; index++) planes[index] = (planes[index] ?? 0) * scale - 1;
  return { width, height: cropHeight, planes };
}

// Bilinear between pixels' centres; past the picture's edge its outermost pixels go on.
function addSample(picture: Picture, atX: number, atY: number, planes: Float32Array, at: number): void {
  const { data, width, height } = picture;
  const x = Math.min(Math.max(atX - 0.5, 0), width - 1);
  const y = Math.min(Math.max(atY - 0.5, 0), height - 1);
  const left = Math.floor(x);
  const upper = Math.floor(y);
  const [dx, dy] = [x - left, y - upper];
  const right = left + 1 < width ? 3 : 0;
  const below = upper + 1 < height ? width * 3 : 0;
  const base = (upper * width + left) * 3;
  const size = planes.length / 3;
  for (let channel = 0; channel < 3; channel++) {
    const from = base + channel;
    const above = (data[from] ?? 0) * (1 - dx) + (data[from + right] ?? 0) * dx;
    const under = (data[from + below] ?? 0) * (1 - dx) + (data[from + below + right] ?? 0) * dx;
    const target = (2 - channel) * size + at;
    planes[target] = (planes[target] ?? 0) + above * (1 - dy) + under * dy;
  }
}
