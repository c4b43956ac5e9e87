import { createDetection } from "./detection.ts";
import { pictureFromBytes } from "./image.ts";
import { type ReadLine, readLines } from "./lines.ts";
import type { TextModels } from "./models.ts";
import type { Picture } from "./picture.ts";
import { createRecognition } from "./recognition.ts";
import { cornersOfPart } from "./strip.ts";
import { wordsFromReading } from "./words.ts";

/** A word that was read. */
export interface ReadWord {
  /** x and y of four corners in the picture's pixels, clockwise from the top left of the text in reading direction. */
  readonly box: readonly [number, number, number, number, number, number, number, number];
  /** How probably there is text, from 0 to 1. */
  readonly boxScore: number;
  readonly text: string;
  /** How sure the model is of the text, from 0 to 1. */
  readonly textScore: number;
}

/** Reads the words of pictures. */
export interface TextReader {
  /**
   * The words of a picture, line by line from the top; none for a picture without text. Throws ServingError
   * INVALID_INPUT that names `field` for bytes that are no picture or one that is too large.
   */
  read(bytes: Uint8Array, field: string): Promise<ReadWord[]>;
}

/** Reads pictures with loaded models, one at a time. */
export function createTextReader(models: TextModels): TextReader {
  const detect = createDetection(models.detection);
  const recognize = createRecognition(models.recognition, models.alphabet);
  return {
    async read(bytes, field) {
      const picture = await pictureFromBytes(bytes, field);
      const lines = await readLines(recognize, picture, await detect(picture));
      return lines.flatMap((line) => wordsOfLine(picture, line));
    },
  };
}

function wordsOfLine(picture: Picture, { strip, crop, reading, regionScore }: ReadLine): ReadWord[] {
  return wordsFromReading(reading, crop).map((word) => {
    const [a, b, c, d] = cornersOfPart(strip, word.from, word.to);
    const x = (value: number): number => Math.min(Math.max(Math.round(value), 0), picture.width);
    const y = (value: number): number => Math.min(Math.max(Math.round(value), 0), picture.height);
    return {
      box: [x(a.x), y(a.y), x(b.x), y(b.y), x(c.x), y(c.y), x(d.x), y(d.y)],
      boxScore: regionScore,
      text: word.text,
      textScore: word.score,
    };
  });
}
