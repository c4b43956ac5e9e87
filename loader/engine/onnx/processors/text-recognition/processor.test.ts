import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import sharp, { type Sharp } from "sharp";
import { InferRequestSchema } from "../../../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../../../proto/gen/athena/v1/part_pb.ts";
import { type DrawnLine, type DrawnPicture, drawnWords, drawText } from "../../../../../tests/fixtures/drawn-text.ts";
import type { OnnxProcessor } from "../../processor.ts";
import { createProcessorContext } from "../../processor-context.ts";
import { createTextRecognition } from "./processor.ts";

interface Entry {
  readonly filename: string;
  readonly result: readonly { box: number[]; box_score: number; text: string; text_score: number }[];
}

interface InputPart {
  readonly name: string;
  readonly type: PartType;
  readonly data: Uint8Array;
}

let processor: OnnxProcessor;
const progress: string[] = [];

beforeAll(async () => {
  const config = { processor: "text-recognition", folder: "", threads: 1, provider: "cpu", deviceId: 0, options: {} };
  processor = await createTextRecognition(createProcessorContext(config), (step) => progress.push(step));
});

afterAll(() => processor.release());

const image = (data: Uint8Array, name = "data"): InputPart => ({ name, type: PartType.IMAGE, data });

async function infer(...parts: InputPart[]) {
  const answer = await processor.infer(create(InferRequestSchema, { service: "mmocr", parts }));
  const [part] = answer;
  if (part === undefined || answer.length !== 1) throw new Error(`${answer.length} parts`);
  const entries: Entry[] = JSON.parse(new TextDecoder().decode(part.data));
  return { part, entries };
}

const bare = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, "");

/** Whether a place lies inside four corners given clockwise. */
function holds(box: readonly number[], x: number, y: number): boolean {
  return [0, 2, 4, 6].every((at) => {
    const [fromX = 0, fromY = 0] = box.slice(at, at + 2);
    const [toX = 0, toY = 0] = [...box, ...box].slice(at + 2, at + 4);
    return (toX - fromX) * (y - fromY) - (toY - fromY) * (x - fromX) >= 0;
  });
}

/** The drawn words that no box of their own stands on, and the texts of the boxes on no drawn word. */
async function compare(lines: readonly DrawnLine[], bytes: Uint8Array) {
  const { entries } = await infer(image(bytes));
  let found = [...(entries[0]?.result ?? [])];
  const missing: string[] = [];
  for (const word of await drawnWords(lines)) {
    const match = found.find(({ text, box }) => bare(text) === bare(word.text) && holds(box, word.x, word.y));
    if (match === undefined) missing.push(word.text);
    else found = found.filter((entry) => entry !== match);
  }
  return { missing, extra: found.map(({ text }) => text) };
}

const nothingWrong = { missing: [], extra: [] };

const sentences = [
  "Please keep this door closed",
  "Opening hours Monday to Friday",
  "train 9 to Birmingham",
  "total 98.50",
];

function page(options: { size: number; angle?: number; color?: string; background?: string }): DrawnPicture {
  const { size, angle = 0, color = "black", background = "white" } = options;
  const side = Math.round(size * 20);
  const turn = (angle * Math.PI) / 180;
  const lines = sentences.map((text, index) => {
    // Around the picture's middle, so that no angle pushes a line out of it.
    const [right, down] = [-text.length * size * 0.25, (index - 1.3) * size * 1.8];
    return {
      text,
      x: side / 2 + right * Math.cos(turn) - down * Math.sin(turn),
      y: side / 2 + right * Math.sin(turn) + down * Math.cos(turn),
      size,
      angle,
      color,
    };
  });
  return { width: side, height: side, background, lines };
}

async function comparePage(picture: DrawnPicture, encode?: (picture: Sharp) => Sharp) {
  const bytes = await drawText(picture);
  const encoded = encode === undefined ? bytes : new Uint8Array(await encode(sharp(bytes)).toBuffer());
  return compare(picture.lines, encoded);
}

const plaque: DrawnPicture = {
  width: 460,
  height: 320,
  background: "#8a4a3a",
  lines: [
    { text: "London Borough of Southwark", x: 128, y: 112, size: 18, bend: 118 },
    { text: "Octavia Hill", x: 171, y: 124, size: 22 },
    { text: "Social Reformer", x: 172, y: 146, size: 17 },
    { text: "Established this garden,", x: 152, y: 166, size: 15 },
    { text: "hall and cottages,", x: 175, y: 184, size: 15 },
    { text: "and pioneered", x: 184, y: 202, size: 15 },
    { text: "Army Cadets", x: 190, y: 220, size: 15 },
    { text: "1887", x: 212, y: 238, size: 16 },
    { text: "Voted by the People", x: 165, y: 252, size: 15, bend: -80 },
  ].map((line) => ({ ...line, color: "white" })),
};

async function noisy(bytes: Uint8Array): Promise<Uint8Array> {
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  let state = 1;
  for (let index = 0; index < data.length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[index] = Math.min(255, Math.max(0, (data[index] ?? 0) + (state >>> 24) / 4 - 32));
  }
  const { width, height, channels } = info;
  return new Uint8Array(await sharp(data, { raw: { width, height, channels } }).jpeg({ quality: 85 }).toBuffer());
}

describe("createTextRecognition", () => {
  test("tells what it does while it starts", () => {
    expect(progress).toEqual(["loading the text models", "warming up the text models"]);
  });

  test("finds the words of a noisy plaque with two arcs, each in a box of its own", async () => {
    const { missing, extra } = await compare(plaque.lines, await noisy(await drawText(plaque)));
    expect(missing.length).toBeLessThanOrEqual(1);
    expect(extra.length).toBeLessThanOrEqual(2);
  });

  for (const size of [12, 20, 40, 90]) {
    test(`reads straight lines of ${size} pixels`, async () => {
      expect(await comparePage(page({ size }))).toEqual(nothingWrong);
    });
  }

  for (const angle of [10, -15, 30, 45, -60, 90, -90, 180]) {
    test(`reads lines turned by ${angle} degrees`, async () => {
      const { missing, extra } = await comparePage(page({ size: 34, angle }));
      expect(missing).toEqual([]);
      expect(extra.length).toBeLessThanOrEqual(1);
    });
  }

  for (const bend of [40, 90, 180, -60, -120]) {
    test(`reads a line bent by ${bend} degrees`, async () => {
      const lines = [{ text: "Museum of Natural History", x: 180, y: bend > 0 ? 400 : 200, size: 40, bend }];
      expect(await comparePage({ width: 900, height: 700, background: "white", lines })).toEqual(nothingWrong);
    });
  }

  test("reads light on dark, and little contrast", async () => {
    expect(await comparePage(page({ size: 30, color: "white", background: "black" }))).toEqual(nothingWrong);
    expect(await comparePage(page({ size: 30, color: "#bbb", background: "#888" }))).toEqual(nothingWrong);
  });

  test("reads JPEG, WebP and grey pictures", async () => {
    const picture = page({ size: 30 });
    expect(await comparePage(picture, (drawn) => drawn.jpeg({ quality: 25 }))).toEqual(nothingWrong);
    expect(await comparePage(picture, (drawn) => drawn.webp({ quality: 50 }))).toEqual(nothingWrong);
    expect(await comparePage(picture, (drawn) => drawn.toColourspace("b-w").png())).toEqual(nothingWrong);
  });

  test("reads usual and very large letters on one large picture", async () => {
    const lines = [
      { text: "WELCOME", x: 200, y: 1500, size: 620 },
      { text: "Doors open at seven", x: 300, y: 1800, size: 90 },
    ];
    expect(await comparePage({ width: 3600, height: 2100, background: "#eee", lines })).toEqual(nothingWrong);
  });

  test("answers one text part whose attributes are those expected", async () => {
    const data = await drawText(page({ size: 30 }));
    const expects = [{ name: "boxes", type: PartType.TEXT, attributes: { format: "plain" } }];
    const [part] = await processor.infer(create(InferRequestSchema, { parts: [image(data)], expects }));
    expect(part).toMatchObject({ name: "boxes", type: PartType.TEXT });
    expect(part?.attributes).toEqual({ encoding: "utf8", compress: "raw", format: "plain" });
  });

  test("gives every box eight whole numbers inside the picture and scores from 0 to 1", async () => {
    const { entries } = await infer(image(await drawText(plaque)));
    expect(entries[0]?.result.length).toBeGreaterThan(15);
    for (const { box, box_score, text_score } of entries[0]?.result ?? []) {
      expect(box.length).toBe(8);
      for (const [index, value] of box.entries()) {
        expect(Number.isInteger(value)).toBe(true);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(index % 2 === 0 ? plaque.width : plaque.height);
      }
      for (const score of [box_score, text_score]) expect(score > 0 && score <= 1).toBe(true);
    }
  });

  test("answers an entry for each picture, in order, with an empty result where there is no text", async () => {
    const blank = await drawText({ width: 200, height: 100, background: "white", lines: [] });
    const drawn = await drawText(page({ size: 30 }));
    const { entries } = await infer(image(blank), image(drawn, "data2"), image(blank, "data3"));
    expect(entries.map(({ filename }) => filename)).toEqual(["0", "1", "2"]);
    expect(entries.map(({ result }) => result.length > 0)).toEqual([false, true, false]);
  });

  test("reads pictures of any proportions", async () => {
    const sizes = [
      [1, 1],
      [2, 900],
      [3000, 3],
      [31, 33],
    ] as const;
    for (const [width, height] of sizes) {
      const { entries } = await infer(image(await drawText({ width, height, background: "white", lines: [] })));
      expect(entries).toEqual([{ filename: "0", result: [] }]);
    }
  });

  test("refuses what is no picture and names its field", async () => {
    const refusal = { reason: "INVALID_INPUT" };
    const text = new TextEncoder().encode("no picture");
    await expect(infer(image(text))).rejects.toMatchObject({
      ...refusal,
      message: "payload.data.image is not a picture that can be read (JPEG, PNG, BMP or WebP)",
    });
    const drawn = await drawText({ width: 40, height: 40, background: "white", lines: [] });
    await expect(infer(image(drawn), image(text, "data2"))).rejects.toThrow("payload.data2.image is not a picture");
  });

  test("refuses a request without a picture", async () => {
    const text = { name: "data", type: PartType.TEXT, data: new Uint8Array(3) };
    await expect(infer(text)).rejects.toMatchObject({
      reason: "INVALID_INPUT",
      message: "payload.data.image is missing",
    });
  });
});
