import { type InferenceSession, Tensor } from "onnxruntime-node";
import type { Crop } from "./crop.ts";
import { charactersFromProbabilities, type ReadCharacter } from "./ctc.ts";

/** What was read on a crop. */
export interface Reading {
  readonly characters: readonly ReadCharacter[];
  /** How many steps the crop's width was divided into. */
  readonly steps: number;
  /** The mean of the characters' scores; 0 when there are none. */
  readonly score: number;
}

/** Reads one straightened line. */
export type RecognizeText = (crop: Crop) => Promise<Reading>;

/** Recognition with a CTC model: one input [1, 3, 48, width], one output [1, steps, classes] of probabilities. */
export function createRecognition(session: InferenceSession, alphabet: readonly string[]): RecognizeText {
  const [inputName, outputName] = [session.inputNames[0], session.outputNames[0]];
  if (inputName === undefined || outputName === undefined) throw new TypeError("the recognition model has no output");
  return async (crop) => {
    const outputs = await session.run({
      [inputName]: new Tensor("float32", crop.planes, [1, 3, crop.height, crop.width]),
    });
    const output = outputs[outputName];
    const [, steps, classes] = output?.dims ?? [];
    if (!(output?.data instanceof Float32Array) || steps === undefined || classes !== alphabet.length) {
      throw new TypeError("the recognition model does not fit its dictionary");
    }
    const characters = charactersFromProbabilities(output.data, alphabet);
    const sum = characters.reduce((total, character) => total + character.score, 0);
    return { characters, steps, score: characters.length === 0 ? 0 : sum / characters.length };
  };
}
