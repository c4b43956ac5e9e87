import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { InferenceService, InferRequestSchema, Status } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { CatalogService } from "../../proto/gen/athena/v1/service_pb.ts";
import { post, startGateway, urlOf } from "./cluster.ts";

/*
 * Wrappers as users of the predecessor write them, each in a folder without a service.yaml: what they declare is their
 * service's definition.
 */

const wrappers = join(import.meta.dir, "../fixtures/predecessor");
const runtime = join(import.meta.dir, "../../loader/engine/python/runtime");
const folders = ["digits", "noob-once", "noob-stream", "chat", "ocr", "detection"];
const ids = ["mnist", "noob_once", "noob_stream", "chat", "ocr", "detection"];
const onceIds = ["mnist", "noob_once", "ocr", "detection"];

let loader: ServiceProcess;
let gateway: ServiceProcess;

beforeAll(async () => {
  const local = { host: "127.0.0.1", port: 0 };
  const services = folders.map((folder) => join(wrappers, folder));
  const config = JSON.stringify({ listen: local, admin: local, services });
  loader = await startServiceProcess({ main: "loader/main.ts", config });
  await waitUntilReady(loader, ids);
  gateway = await startGateway(onceIds.map((id) => ({ id, endpoints: [urlOf(loader)] })));
});

afterAll(async () => {
  await gateway.stop();
  await loader.stop();
});

const clientOf = <Service extends typeof InferenceService | typeof CatalogService>(service: Service) =>
  createClient(service, createConnectTransport({ baseUrl: urlOf(loader), httpVersion: "2" }));

async function describeService(service: string) {
  const { definition } = await clientOf(CatalogService).describeService({ service });
  if (definition === undefined) throw new Error(`${service} is not described`);
  return definition;
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

function ask(id: string, payload: object, parameter: object = {}) {
  const envelope = { header: { app_id: "1", status: 3 }, parameter: { [id]: parameter }, payload };
  return post(`${urlOf(gateway)}/v1/private/${id}`, envelope);
}

const plain = (part: Readonly<Record<string, unknown>> | undefined, member = "text") =>
  Buffer.from(String(part?.[member]), "base64").toString();

describe("a wrapper's own classes", () => {
  test("define its service: name, version, inputs with an example, parameters, outputs", async () => {
    const definition = await describeService("mnist");
    expect(definition).toMatchObject({ id: "mnist", version: "v1", once: true, stream: false });
    const image = await Bun.file(join(wrappers, "digits/test_data/digit.png")).bytes();
    expect(definition.inputs).toMatchObject([{ name: "img", type: PartType.IMAGE, required: true, example: image }]);
    expect(JSON.parse(definition.inputs[0]?.attributesSchema ?? "")).toEqual({
      type: "object",
      properties: { encoding: { type: "string", examples: ["png"] } },
      additionalProperties: true,
    });
    expect(definition.outputs).toMatchObject([
      { name: "result", type: PartType.TEXT, attributes: { encoding: "utf8", compress: "raw", format: "plain" } },
    ]);
    expect(JSON.parse(definition.parametersSchema)).toEqual({
      type: "object",
      properties: { ctrl: { type: "string", enum: ["helloworld", "hidden"], examples: ["helloworld"] } },
      required: [],
      additionalProperties: true,
    });
  });

  test("say with limits only what they were given, and which kinds of call there are by their methods", async () => {
    const detection = await describeService("detection");
    expect(JSON.parse(detection.parametersSchema)).toMatchObject({
      properties: {
        conf: { type: "number", minimum: 0, maximum: 1, examples: [0.25] },
        model: { type: "string", enum: ["s", "m"] },
      },
      required: ["model"],
    });
    expect(detection.outputs).toMatchObject([
      { name: "drawn", type: PartType.IMAGE, attributes: { encoding: "jpg" } },
      { name: "boxes", type: PartType.TEXT, attributes: { format: "json" } },
    ]);
    const chat = await describeService("chat");
    expect(chat).toMatchObject({ once: false, stream: true });
    expect(JSON.parse(chat.parametersSchema).properties).toEqual({
      temperature: { type: "number", examples: [0.95] },
      max_tokens: { type: "integer", examples: [2048] },
    });
    // Its other methods are there, but empty.
    expect(await describeService("noob_once")).toMatchObject({ once: true, stream: false });
    // The file of its test value is not there, which is no mistake.
    const ocr = await describeService("ocr");
    expect(ocr).toMatchObject({ version: "v3", description: "Reads the words of a picture." });
    expect(ocr.inputs[0]?.example).toHaveLength(0);
  });
});

describe("a wrapper without a service.yaml, behind a gateway", () => {
  test("answers a picture with JSON", async () => {
    const image = base64("\x89PNG");
    const { status, body } = await ask("mnist", { img: { encoding: "png", status: 3, image } }, { ctrl: "hidden" });
    expect(status).toBe(200);
    expect(JSON.parse(plain(body.payload?.result))).toEqual({ result: expect.any(Number), msg: "result is: hidden" });
    const inline = await ask("mnist", { img: { image } }, { result: { format: "json", data_type: "text" } });
    expect(inline.body.payload?.result?.text).toMatchObject({ msg: "result is: default" });
  });

  test("takes attributes and parameters that it does not declare, as the predecessor did", async () => {
    const text = { text: base64("hi"), status: 3, sample_rate: 16000, encoding: "gb2312" };
    const { status, body } = await ask("noob_once", { text }, { p1: "x", unknown: 1 });
    expect([status, plain(body.payload?.text)]).toEqual([200, "you said: hi"]);
  });

  test("has a module, a model file and several outputs", async () => {
    const words = await ask("ocr", { data: { image: base64("IMGone two") } }, { details: true });
    expect(words.body.payload?.boxes?.text).toEqual([
      { text: "one", score: 1 },
      { text: "two", score: 0.5 },
    ]);
    const found = await ask("detection", { img: { image: base64("jpeg") } }, { model: "s", conf: 0.5 });
    expect(found.body.payload?.boxes?.text).toEqual([{ name: "bus", conf: 0.9 }]);
    expect(plain(found.body.payload?.drawn, "image")).toBe("jpeg+boxes");
  });

  for (const [what, id, payload, parameter, code, message] of [
    ["an input that is missing", "mnist", {}, {}, 10163, "'$.payload.img' field is required"],
    ["a value that is none of those", "mnist", { img: { image: "YQ==" } }, { ctrl: "x" }, 10163, "must be one of"],
    ["a required parameter", "detection", { img: { image: "YQ==" } }, {}, 10163, "model' field is required"],
    ["a limit", "detection", { img: { image: "YQ==" } }, { model: "s", conf: 2 }, 10163, "conf' must be <= 1"],
    ["the wrapper's own words", "ocr", { data: { image: "YQ==" } }, {}, 10909, "the data is not a picture"],
  ] as const) {
    test(`refuses in words that name it: ${what}`, async () => {
      const { body } = await ask(id, payload, parameter);
      expect(body.header.code).toBe(code);
      expect(body.header.message).toContain(message);
    });
  }
});

describe("a streaming wrapper without a service.yaml", () => {
  async function talk(service: string, input: string, texts: readonly string[], parameters: Record<string, string>) {
    async function* messages() {
      yield { message: { case: "open" as const, value: create(InferRequestSchema, { service, parameters }) } };
      for (const [index, text] of texts.entries()) {
        const status = String(index === texts.length - 1 ? 2 : Math.min(index, 1));
        const data = new TextEncoder().encode(text);
        const parts = [{ name: input, type: PartType.TEXT, attributes: { status }, data }];
        yield { message: { case: "input" as const, value: { sequence: index + 2, parts } } };
      }
    }
    const results: [string, string][] = [];
    for await (const { response } of clientOf(InferenceService).inferStream(messages())) {
      const text = new TextDecoder().decode(response?.parts[0]?.data);
      results.push([Status[response?.status ?? Status.UNSPECIFIED], text]);
    }
    return results;
  }

  test("answers each chunk through its handle, session after session", async () => {
    for (let session = 0; session < 5; session += 1) {
      const results = await talk("noob_stream", "text", ["a", "b", "c"], { mode: "fast" });
      expect(results.map(([status, text]) => [status, JSON.parse(text)])).toEqual([
        ["BEGIN", { n: 1, text: "a", mode: "fast" }],
        ["CONTINUE", { n: 2, text: "b", mode: "fast" }],
        ["END", { n: 3, text: "c", mode: "fast" }],
      ]);
    }
  });

  test("streams the deltas of a model server that it starts itself", async () => {
    const message = JSON.stringify({ text: "tell me a story" });
    expect(await talk("chat", "input", [message], { max_tokens: "3", temperature: "0.5" })).toEqual([
      ["BEGIN", '{"content": "tell@0.5"}'],
      ["CONTINUE", '{"content": "me@0.5"}'],
      ["CONTINUE", '{"content": "a@0.5"}'],
      ["END", " "],
    ]);
  });
});

describe("a wrapper that is run by hand", () => {
  function run(folder: string, code: string) {
    const env = { ...process.env, PYTHONPATH: runtime };
    const command = ["python3", "-c", `from wrapper import *\nm = Wrapper()\n${code}`];
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: join(wrappers, folder), env });
    return { exitCode, output: stdout.toString().trimEnd().split("\n"), errors: stderr.toString() };
  }

  test("answers its own test values, once and as a session", () => {
    expect(run("noob-once", "m.schema(); m.run()").output.at(-1)).toBe("text, status 3: you said: some text");
    expect(run("noob-stream", "m.run_stream()").output).toEqual([
      'result, status 2: {"n": 1, "text": "a chunk", "mode": "slow"}',
    ]);
    expect(run("chat", "m.run(stream=True); m.wrapperFini()").output).toHaveLength(3);
  });

  test("gives its definition in the predecessor's form", () => {
    const schema = JSON.parse(run("detection", "print(m.schema())").output[0] ?? "");
    expect(schema.meta).toMatchObject({
      serviceId: "detection",
      route: "/v1/private/detection",
      call: "atmos",
      detection: { input: { img: { dataType: "image" } }, accept: { drawn: { dataType: "image" } } },
    });
    const { parameter, payload } = schema.schemainput.properties;
    expect(parameter.properties.detection).toMatchObject({
      properties: { model: { enum: ["s", "m"] }, boxes: { properties: { data_type: { type: "string" } } } },
      required: ["model"],
    });
    expect(payload.properties.img.required).toEqual(["image"]);
    expect(Object.keys(schema.schemaoutput.properties.payload.properties)).toEqual(["drawn", "boxes"]);
  });

  test("is told what is wrong with its answer", () => {
    const answer = [
      "r = Response()",
      "a, b = ResponseData('boxes', b'x', 3, DataImage, 1), ResponseData('boxes', b'x', None, DataText, 3)",
      "r.list = [a, b, ResponseData('other', 'text', None, DataText, 3)]",
      "print(m.check_resp(r), m.check_resp(Response()), m.check_resp(None))",
      "m.wrapperOnceExec = lambda *_: r",
      "m.run()",
    ];
    const { exitCode, output, errors } = run("detection", answer.join("\n"));
    expect(output.slice(0, 8)).toEqual([
      "wrong: 'boxes' has the type 2, declared is 0",
      "wrong: 'boxes' has 1 bytes, its len says 3",
      "wrong: 'boxes' has the status 1, expected 3",
      "wrong: 'boxes' stands twice",
      "wrong: 'other' is not declared, expected drawn, boxes",
      "wrong: 'other' has data of the type str, expected bytes",
      "wrong: the response's list is empty",
      "wrong: a Response was expected, got a NoneType",
    ]);
    expect(exitCode).toBe(1);
    expect(errors).toContain("ValueError: the response is not what the response class declares");
  });
});
