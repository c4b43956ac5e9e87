import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { demoRequest } from "../../cli/demo/request.ts";
import { drawSamplePicture } from "../../cli/demo/sample-picture.ts";
import { addressOf, type ServiceProcess } from "../../cli/service-process.ts";
import { echoEnvelope, post, startGateway, startLoader, urlOf } from "../integration/cluster.ts";

const python = process.env.ATHENA_TEST_PYTHON ?? "python3";
const sampleWords = [
  ...["athena", "serving", "turns", "your", "inference", "code", "into", "one", "standard", "service"],
  ...["before", "tonight", "port", "30889", "gateway", "and", "loaders"],
];

let loader: ServiceProcess;
let gateway: ServiceProcess;
let url: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-e2e-"));
  loader = await startLoader(["mmocr", "echo"]);
  gateway = await startGateway([
    { id: "mmocr", endpoints: [urlOf(loader)] },
    { id: "echo", endpoints: [urlOf(loader)] },
  ]);
  url = `${urlOf(gateway)}/v1/private/mmocr`;
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Letters and digits of each text, in lower case. */
function plain(texts: readonly string[]): string[] {
  return texts.map((text) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, ""));
}

function wordsOf(answer: Awaited<ReturnType<typeof post>>): string[] {
  // The shape is checked by the comparison with the words that were drawn.
  const boxes = answer.body.payload?.boxes?.text as { result: { text: string }[] }[];
  return plain(boxes[0]?.result.map((word) => word.text) ?? []);
}

describe("the service mmocr behind a gateway", () => {
  test("gives a Python client every word of a JPEG in a box of its own", async () => {
    const picture = join(folder, "sample.jpg");
    await sharp(await drawSamplePicture())
      .jpeg({ quality: 90 })
      .toFile(picture);
    const script = join(import.meta.dir, "../interop/read_words.py");
    const client = Bun.spawn([python, script, url, picture], { stdout: "pipe", stderr: "pipe" });
    const [output, errors] = await Promise.all([
      Bun.readableStreamToText(client.stdout),
      Bun.readableStreamToText(client.stderr),
    ]);
    expect(errors).toBe("");
    const [status, ...lines] = output.trim().split("\n");
    expect(status).toBe("200");
    expect(plain(lines.map((line) => line.split("\t")[0] ?? "")).toSorted()).toEqual(sampleWords.toSorted());
  });

  test("answers in the predecessor's form: the boxes as JSON, eight integers each", async () => {
    const answer = await post(url, demoRequest(await drawSamplePicture(), "png"));
    expect(answer.status).toBe(200);
    const boxes = answer.body.payload?.boxes;
    expect(Object.keys(boxes ?? {})).toEqual(["compress", "encoding", "format", "seq", "status", "text"]);
    expect(boxes).toMatchObject({ compress: "raw", encoding: "utf8", format: "json", seq: 0, status: 3 });
    const pictures = boxes?.text as { filename: string; result: { box: number[] }[] }[] | undefined;
    const picture = pictures?.[0];
    expect(picture?.filename).toBe("0");
    for (const { box } of picture?.result ?? []) {
      expect(box).toHaveLength(8);
      expect(box.every(Number.isInteger)).toBe(true);
    }
  });

  test("answers base64 when the caller asks for the format plain, and JSON when it asks for nothing", async () => {
    const request = demoRequest(await drawSamplePicture(), "png");
    const plainFormat = { ...request, parameter: { mmocr: { boxes: { format: "plain" } } } };
    const asPlain = await post(url, plainFormat);
    const asDefault = await post(url, { ...request, parameter: {} });
    const text = Buffer.from(String(asPlain.body.payload?.boxes?.text), "base64").toString();
    expect(JSON.parse(text)).toEqual(asDefault.body.payload?.boxes?.text);
  });

  test("refuses a picture that is none, names the field, and goes on answering", async () => {
    const picture = await drawSamplePicture();
    for (const bytes of [new TextEncoder().encode("no picture"), picture.subarray(0, 400), new Uint8Array([0])]) {
      const refused = await post(url, demoRequest(bytes, "png"));
      expect(refused.status).toBe(400);
      expect(refused.body.header.code).toBe(10009);
      expect(refused.body.header.message).toContain("payload.data.image");
    }
    expect(wordsOf(await post(url, demoRequest(picture, "png")))).toContain("athena");
  });

  test("reads several pictures at once while health and another service answer", async () => {
    const picture = await drawSamplePicture();
    const pictures = Array.from({ length: 6 }, () => post(url, demoRequest(picture, "png")));
    let done = false;
    const all = Promise.all(pictures).finally(() => {
      done = true;
    });
    let answeredMeanwhile = 0;
    while (!done) {
      const health = await fetch(`${addressOf(loader, "admin")}/healthz`);
      const echo = await post(`${urlOf(gateway)}/echo`, echoEnvelope("x"));
      expect([health.status, echo.status]).toEqual([200, 200]);
      answeredMeanwhile += 1;
    }
    for (const answer of await all) expect(wordsOf(answer).toSorted()).toEqual(sampleWords.toSorted());
    // A model on the server's own thread would let one or two through between its runs.
    expect(answeredMeanwhile).toBeGreaterThan(50);
  });
});
