import sharp from "sharp";
import type { Word } from "./answer.ts";

/** Draws each word's box onto the picture. Returns PNG. */
export async function annotate(picture: Uint8Array, words: readonly Word[]): Promise<Uint8Array> {
  const upright = sharp(picture).autoOrient();
  const { data, info } = await upright.png().toBuffer({ resolveWithObject: true });
  const stroke = Math.max(1, Math.round(Math.min(info.width, info.height) / 250));
  const polygons = words.map((word) => `<polygon points="${word.box.join(" ")}"/>`).join("");
  const overlay =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${info.width}" height="${info.height}">` +
    `<g fill="none" stroke="#e5006d" stroke-width="${stroke}">${polygons}</g></svg>`;
  return sharp(data)
    .composite([{ input: Buffer.from(overlay) }])
    .png()
    .toBuffer();
}
