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
/** A gateway with the schema file that the predecessor shipped for the service. */
let shipped: ServiceProcess;
let url: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-e2e-"));
  loader = await startLoader(["mmocr", "echo"]);
  gateway = await startGateway([
    { id: "mmocr", endpoints: [urlOf(loader)] },
    { id: "echo", endpoints: [urlOf(loader)] },
  ]);
  shipped = await startGateway([{ id: "mmocr", endpoints: [urlOf(loader)] }], {
    schemas: [join(import.meta.dir, "../fixtures/schemas")],
  });
  url = `${urlOf(gateway)}/v1/private/mmocr`;
});

afterAll(async () => {
  await shipped.stop();
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
  test("gives a Python client of the predecessor's demo every word of a JPEG in a box of its own, at both paths", async () => {
    const picture = join(folder, "sample.jpg");
    await sharp(await drawSamplePicture())
      .jpeg({ quality: 90 })
      .toFile(picture);
    const script = join(import.meta.dir, "../interop/read_words.py");
    for (const demoUrl of [`${urlOf(gateway)}/mmocr`, `${urlOf(shipped)}/v1/private/mmocr`]) {
      const client = Bun.spawn([python, script, demoUrl, picture], { stdout: "pipe", stderr: "pipe" });
      const [output, errors] = await Promise.all([
        Bun.readableStreamToText(client.stdout),
        Bun.readableStreamToText(client.stderr),
      ]);
      expect(errors).toBe("");
      const [status, ...lines] = output.trim().split("\n");
      expect(status).toBe("200");
      expect(plain(lines.map((line) => line.split("\t")[0] ?? "")).toSorted()).toEqual(sampleWords.toSorted());
    }
  });

  test("answers the demo's request with the same envelope, member by member, with and without the shipped schema", async () => {
    const request = demoRequest(
      await sharp(await drawSamplePicture())
        .jpeg()
        .toBuffer(),
      "jpg",
    );
    const word = {
      box: expect.any(Array),
      box_score: expect.any(Number),
      text: expect.any(String),
      text_score: expect.any(Number),
    };
    for (const base of [urlOf(gateway), urlOf(shipped)]) {
      const { status, headers, body } = await post(`${base}/v1/private/mmocr`, request);
      expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
      expect(body).toEqual({
        header: {
          code: 0,
          message: "success",
          sid: expect.stringMatching(/^ase[0-9a-f]{8}@[0-9a-z]{2}[0-9a-f]{17}2$/),
        },
        payload: {
          boxes: {
            ...{ compress: "raw", encoding: "utf8", format: "json", seq: 0, status: 3 },
            text: [{ filename: "0", result: sampleWords.map(() => word) }],
          },
        },
      } as never);
      const pictures = body.payload?.boxes?.text as { result: { box: number[] }[] }[] | undefined;
      for (const { box } of pictures?.[0]?.result ?? []) {
        expect(box).toHaveLength(8);
        expect(box.every(Number.isInteger)).toBe(true);
      }
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

type Demo = { header: object; parameter: { mmocr: object }; payload: { data: object } };

describe("the demo's request with the predecessor's shipped schema", () => {
  const demo = demoRequest(new Uint8Array([1, 2, 3]), "jpg") as Demo;
  const withHeader = (changes: object) => ({ ...demo, header: { ...demo.header, ...changes } });
  const wrong = "parameter schema validate error: ";

  test.each<[string, object, number, string]>([
    ["app_id is missing", withHeader({ app_id: undefined }), 10163, `${wrong}'$.header.app_id' field is required; `],
    ["status is 1", withHeader({ status: 1 }), 10163, `${wrong}'$.header.status' must be one of [3]; `],
    ["status is a text", withHeader({ status: "3" }), 10163, `${wrong}'$.header.status' type must be integer; `],
    ["the header has a member more", withHeader({ foo: 1 }), 10163, `${wrong}'$.header.foo' unknown field; `],
    ["app_id is null", withHeader({ app_id: null }), 10313, "appid cannot be empty"],
    ["it is empty", {}, 10313, "appid cannot be empty"],
    [
      "the picture is no base64",
      { ...demo, payload: { data: { ...demo.payload.data, image: "%%%" } } },
      10163,
      "'$.payload.data.image' must be standard base64",
    ],
  ])("is refused where %s", async (_, request, code, message) => {
    const { status, body } = await post(`${urlOf(shipped)}/mmocr`, request);
    expect([status, body.header.code]).toEqual([400, code]);
    expect(body.header.message).toContain(message);
    expect(Object.keys(body)).toEqual(["header"]);
  });

  test("is answered where it does not name the output, for which the predecessor's loader failed with 10106", async () => {
    const { boxes: _, ...parameters } = demo.parameter.mmocr as { boxes: object };
    const { payload } = demoRequest(await drawSamplePicture(), "png") as Demo;
    const answer = await post(`${urlOf(shipped)}/mmocr`, { ...demo, parameter: { mmocr: parameters }, payload });
    expect(answer.status).toBe(200);
    expect(wordsOf(answer).toSorted()).toEqual(sampleWords.toSorted());
  });
});
