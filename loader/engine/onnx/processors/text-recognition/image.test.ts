import { describe, expect, test } from "bun:test";
import sharp, { type Sharp } from "sharp";
import { pictureFromBytes } from "./image.ts";

const orange = { r: 200, g: 100, b: 50 };
const solid = () => sharp({ create: { width: 40, height: 20, channels: 3, background: orange } });
const glass = (alpha: number) =>
  sharp({ create: { width: 4, height: 2, channels: 4, background: { r: 0, g: 0, b: 0, alpha } } });

async function read(picture: Sharp) {
  return pictureFromBytes(new Uint8Array(await picture.toBuffer()), "field");
}

async function firstPixel(picture: Sharp): Promise<number[]> {
  const { width, height, data } = await read(picture);
  expect(data.length).toBe(width * height * 3);
  return [...data.subarray(0, 3)];
}

const refused = "field is not a picture that can be read (JPEG, PNG, BMP or WebP)";

describe("pictureFromBytes", () => {
  test("reads JPEG, PNG, PNG with a palette, and WebP", async () => {
    expect(await firstPixel(solid().jpeg())).toEqual([200, 100, 50]);
    expect(await firstPixel(solid().png())).toEqual([200, 100, 50]);
    expect(await firstPixel(solid().png({ palette: true }))).toEqual([200, 100, 50]);
    expect(await firstPixel(solid().webp({ lossless: true }))).toEqual([200, 100, 50]);
  });

  test("gives grey pictures three equal channels", async () => {
    expect(await firstPixel(solid().toColourspace("b-w").jpeg())).toEqual([128, 128, 128]);
    expect(await firstPixel(solid().toColourspace("b-w").png())).toEqual([128, 128, 128]);
  });

  test("brings 16 bits down to 8", async () => {
    expect(await firstPixel(solid().toColourspace("rgb16").png())).toEqual([200, 100, 50]);
    expect(await firstPixel(solid().toColourspace("grey16").png())).toEqual([128, 128, 128]);
  });

  test("brings print colours to about what they look like on a screen", async () => {
    const [red = 0, green = 0, blue = 0] = await firstPixel(solid().toColourspace("cmyk").jpeg());
    expect(Math.abs(red - 200)).toBeLessThan(20);
    expect(Math.abs(green - 100)).toBeLessThan(20);
    expect(Math.abs(blue - 50)).toBeLessThan(40);
  });

  test("lays alpha over white", async () => {
    expect(await firstPixel(glass(0).png())).toEqual([255, 255, 255]);
    expect(await firstPixel(glass(0.5).webp({ lossless: true }))).toEqual([127, 127, 127]);
    expect(await firstPixel(glass(0.5).toColourspace("rgb16").png())).toEqual([127, 127, 127]);
  });

  test("turns a picture as its EXIF data says", async () => {
    const { width, height } = await read(solid().withMetadata({ orientation: 6 }).jpeg());
    expect({ width, height }).toEqual({ width: 20, height: 40 });
  });

  test("refuses pictures that are cut short", async () => {
    for (const picture of [solid().jpeg(), solid().png(), solid().webp()]) {
      const bytes = new Uint8Array(await picture.toBuffer());
      for (const length of [0, 1, 12, 30, Math.floor(bytes.length * 0.7)]) {
        await expect(pictureFromBytes(bytes.subarray(0, length), "field")).rejects.toThrow(refused);
      }
    }
  });

  test("refuses other formats, those that the decoder knows included", async () => {
    const others = [await solid().gif().toBuffer(), await solid().tiff().toBuffer()];
    const texts = ["", "hello", "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"];
    for (const bytes of [...others, ...texts.map((text) => Buffer.from(text))]) {
      await expect(pictureFromBytes(new Uint8Array(bytes), "field")).rejects.toMatchObject({
        reason: "INVALID_INPUT",
        message: refused,
      });
    }
  });

  test("refuses more than 40 million pixels, and sides that no picture has", async () => {
    const wide = sharp({ create: { width: 8000, height: 6000, channels: 3, background: orange } });
    await expect(read(wide.png({ compressionLevel: 1 }))).rejects.toThrow("field is too large: 8000 x 6000 pixels");
    const long = sharp({ create: { width: 40_000, height: 1, channels: 3, background: orange } });
    await expect(read(long.png())).rejects.toThrow("field is too large");
  });
});
