import { type InferenceSession, Tensor } from "onnxruntime-node";
import type { TextMap } from "./core.ts";
import type { Picture } from "./picture.ts";
import { regionsFromMap, type TextRegion } from "./regions.ts";
import { type Normalization, planesFromPicture } from "./resize.ts";
import { measuredStrip, scaledStrip } from "./strip.ts";

/** The lines of text of a picture, in the picture's pixels. */
export interface DetectedText {
  readonly regions: readonly TextRegion[];
  /**
   * Very large lines, seen on a reduced picture. Each may be in `regions` too, whole or in pieces, or be no line at all:
   * reading tells.
   */
  readonly large: readonly TextRegion[];
}

/** Finds the lines of text of a picture. */
export type DetectText = (picture: Picture) => Promise<DetectedText>;

/** The shorter side that pictures are enlarged to: small ones lose text when they are not. */
const targetShortSide = 736;

/** Enlarging more than this adds work and no detail. */
const maxEnlargement = 4;

/** The most pixels that the model sees, about 1632 x 1224: some 0.6 s of one core. */
const maxInputPixels = 2_000_000;

/** The longest side that the model sees. */
const maxInputSide = 4096;

/** Every side is a whole multiple of the model's stride. */
const stride = 32;

/**
 * Lines thicker than this, in the model's pixels, are looked for on a reduced picture: the model sees too little of
 * such a letter at once and breaks it up. At a quarter of the sides it costs a sixteenth of the time.
 */
const largeThickness = 160;
const reduction = 4;

// ImageNet's means and deviations of bytes, in the planes' order.
const normalization: Normalization = {
  scale: [1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)],
  offset: [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225],
};

/** Detection with a DB model: one input [1, 3, height, width], one output [1, 1, height, width] of probabilities. */
export function createDetection(session: InferenceSession): DetectText {
  return async (picture) => {
    const { width, height } = detectionSize(picture.width, picture.height);
    const regions = await regionsAtSize(session, picture, width, height);
    const reduced = { width: wholeStrides(width / reduction), height: wholeStrides(height / reduction) };
    const again = await regionsAtSize(session, picture, reduced.width, reduced.height);
    const minThickness = (largeThickness * picture.width) / width;
    return { regions, large: again.filter(({ strip }) => measuredStrip(strip).thickness > minThickness) };
  };
}

async function regionsAtSize(
  session: InferenceSession,
  picture: Picture,
  width: number,
  height: number,
): Promise<TextRegion[]> {
  const planes = planesFromPicture(picture, width, height, normalization);
  const map = await textMap(session, planes, width, height);
  const [scaleX, scaleY] = [picture.width / width, picture.height / height];
  return regionsFromMap(map).map(({ strip, score }) => ({ strip: scaledStrip(strip, scaleX, scaleY), score }));
}

/** The size that a picture is resized to for the model: enlarged when it is small, and bounded in work and memory. */
export function detectionSize(width: number, height: number): { width: number; height: number } {
  const wanted = Math.min(maxEnlargement, Math.max(1, targetShortSide / Math.min(width, height)));
  const scale = Math.min(wanted, Math.sqrt(maxInputPixels / (width * height)), maxInputSide / Math.max(width, height));
  return { width: wholeStrides(width * scale), height: wholeStrides(height * scale) };
}

function wholeStrides(length: number): number {
  return Math.max(stride, Math.round(length / stride) * stride);
}

async function textMap(
  session: InferenceSession,
  planes: Float32Array<ArrayBuffer>,
  width: number,
  height: number,
): Promise<TextMap> {
  const [inputName, outputName] = [session.inputNames[0], session.outputNames[0]];
  if (inputName === undefined || outputName === undefined) throw new TypeError("the detection model has no output");
  const outputs = await session.run({ [inputName]: new Tensor("float32", planes, [1, 3, height, width]) });
  const values = outputs[outputName]?.data;
  if (!(values instanceof Float32Array)) throw new TypeError("the detection model's output is not float32");
  return { width, height, values };
}
