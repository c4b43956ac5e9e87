import { z } from "zod";

const wordSchema = z.object({
  box: z.array(z.number()).length(8),
  box_score: z.number(),
  text: z.string(),
  text_score: z.number(),
});

const answerSchema = z.object({
  header: z.object({ code: z.literal(0), sid: z.string() }),
  payload: z.object({
    boxes: z.object({ text: z.array(z.object({ filename: z.string(), result: z.array(wordSchema) })).min(1) }),
  }),
});

/** One word of the picture: its four corners as x and y in turn, in pixels, and what it reads. */
export type Word = z.output<typeof wordSchema>;

/**
 * The words in an answer of the service mmocr.
 *
 * @throws Error when the answer is not a success of the documented form.
 */
export function wordsFromAnswer(answer: unknown): readonly Word[] {
  return answerSchema.parse(answer).payload.boxes.text[0]?.result ?? [];
}
