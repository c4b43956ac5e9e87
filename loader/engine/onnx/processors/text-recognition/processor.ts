import { create } from "@bufbuild/protobuf";
import { env } from "onnxruntime-node";
import sharp from "sharp";
import { ServingError } from "../../../../../proto/errors.ts";
import type { InferRequest } from "../../../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartSchema, PartType } from "../../../../../proto/gen/athena/v1/part_pb.ts";
import type { CreateOnnxProcessor } from "../../processor.ts";
import { createDetection } from "./detection.ts";
import { loadTextModels, type TextModels } from "./models.ts";
import type { Picture } from "./picture.ts";
import { createTextReader, type ReadWord } from "./reader.ts";
import { createRecognition } from "./recognition.ts";

const outputName = "boxes";

const defaultAttributes = { encoding: "utf8", compress: "raw", format: "json" };

/** One input picture's words, in the names that clients of the unified protocol read. */
interface PictureResult {
  /** The place of the picture among the request's pictures, from "0". */
  readonly filename: string;
  readonly result: readonly {
    readonly box: ReadWord["box"];
    readonly box_score: number;
    readonly text: string;
    readonly text_score: number;
  }[];
}

/**
 * Finds and reads the words of pictures. Every input part of type image gives one entry of the one output part `boxes`:
 * UTF-8 JSON, `[{"filename":"0","result":[{"box":[x1,y1,...,x4,y4],"box_score":n,"text":"...","text_score":n}]}]`, with
 * an empty `result` for a picture without text. Reads no options.
 */
export const createTextRecognition: CreateOnnxProcessor = async (context, report) => {
  // What goes wrong is thrown as well: the runtime need not print it, in colour, to the process's standard error.
  env.logLevel = "fatal";
  // One thread as in the models' sessions, and no memory kept for pictures that do not come twice.
  sharp.concurrency(1);
  sharp.cache(false);
  report("loading the text models");
  const models = await loadTextModels({ logSeverityLevel: 4, ...context.sessionOptions });
  report("warming up the text models");
  await warmUp(models);
  const reader = createTextReader(models);
  return {
    async infer(request) {
      const results: PictureResult[] = [];
      for (const part of picturesOf(request)) {
        const words = await reader.read(part.data, fieldOf(part));
        results.push({ filename: String(results.length), result: words.map(resultFromWord) });
      }
      return [outputPart(request, results)];
    },
    release: () => models.release(),
  };
};

async function warmUp(models: TextModels): Promise<void> {
  const side = 64;
  const blank: Picture = { width: side, height: side, data: new Uint8Array(side * side * 3).fill(255) };
  await createDetection(models.detection)(blank);
  const planes = new Float32Array(3 * 48 * 64).fill(1);
  await createRecognition(models.recognition, models.alphabet)({ width: 64, height: 48, planes });
}

function picturesOf(request: InferRequest): Part[] {
  const pictures = request.parts.filter((part) => part.type === PartType.IMAGE);
  if (pictures.length === 0) throw new ServingError("INVALID_INPUT", "payload.data.image is missing");
  return pictures;
}

function fieldOf(part: Part): string {
  return `payload.${part.name}.image`;
}

function resultFromWord(word: ReadWord): PictureResult["result"][number] {
  return { box: word.box, box_score: word.boxScore, text: word.text, text_score: word.textScore };
}

function outputPart(request: InferRequest, results: readonly PictureResult[]): Part {
  const expected = request.expects.find((description) => description.name === outputName);
  return create(PartSchema, {
    name: outputName,
    type: PartType.TEXT,
    attributes: { ...defaultAttributes, ...expected?.attributes },
    data: new TextEncoder().encode(JSON.stringify(results)),
  });
}
