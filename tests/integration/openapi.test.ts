import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { addressOf, type ServiceProcess, startServiceProcess, waitUntilReady } from "../../cli/service-process.ts";
import { createModelDirectory } from "../../gateway/adapter/oip/models.ts";
import { pagesOf } from "../../gateway/adapter/oip/pages.ts";
import { post, startGateway, urlOf } from "./cluster.ts";
import { type Frame, openSocket } from "./websocket-client.ts";

const root = join(import.meta.dir, "../..");
let folder: string;
let loader: ServiceProcess;
let gateway: ServiceProcess;

const typed = `
id: typed
engine: { kind: echo }
inputs:
  data: { type: text, attributes: { encoding: { type: string, enum: [utf8] }, level: { type: integer, minimum: 2, multipleOf: 3 } } }
  speech: { type: audio, required: false }
  picture: { type: image, attributes: { encoding: { type: string, enum: [jpg] } } }
outputs: { data: { type: text }, speech: { type: audio }, picture: { type: image } }
parameters:
  mode: { type: string, enum: [fast, exact] }
  size: { type: number, exclusiveMinimum: 1 }
  when: { type: string, format: date-time }
requiredParameters: [mode, size, when]
header: { type: object, properties: { app_id: { type: string }, scene: { type: string, minLength: 6 } }, required: [app_id, scene] }
`;

/** Its parameter is known by nothing but a pattern, and its input is a video. */
const patterned = `
id: patterned
engine: { kind: echo }
inputs: { data: { type: video } }
outputs: { data: { type: video } }
parameters: { code: { type: string, pattern: "^[A-F]{3}-\\\\d{7}$" } }
requiredParameters: [code]
`;

/** It answers no once-calls. */
const streamed = `
id: streamed
engine: { kind: echo }
inputs: { data: { type: text }, more: { type: audio, required: false } }
outputs: { data: { type: text, attributes: { format: { type: string, default: json } } }, more: { type: audio } }
parameters: { mode: { type: string, enum: [fast, exact] } }
requiredParameters: [mode]
once: false
stream: true
`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "athena-openapi-"));
  for (const [id, text] of Object.entries({ typed, patterned, streamed })) {
    await mkdir(join(folder, id));
    await writeFile(join(folder, id, "service.yaml"), text);
  }
  const local = { host: "127.0.0.1", port: 0 };
  const models = join(root, "tests/fixtures/models");
  const services = [
    join(root, "config/services/echo"),
    join(root, "config/services/mmocr"),
    join(folder, "typed"),
    join(folder, "patterned"),
    join(folder, "streamed"),
    join(models, "perceptron.onnx"),
    join(models, "two-inputs.onnx"),
  ];
  loader = await startServiceProcess({
    main: "loader/main.ts",
    config: JSON.stringify({ listen: local, admin: local, services }),
  });
  const ids = ["echo", "mmocr", "typed", "patterned", "streamed", "perceptron", "two-inputs"];
  await waitUntilReady(loader, ids);
  gateway = await startGateway(
    ids.map((id) => ({
      id,
      endpoints: [urlOf(loader)],
      ...(id === "echo" ? { schema: "s0echo", routes: [{ path: "/say", hosts: ["a.example.com"] }] } : {}),
      ...(id === "typed" ? { codeMap: { 10909: 502, 10110: 429 } } : {}),
    })),
    {
      schemas: [join(root, "tests/fixtures/schemas/schema_echo.json")],
      categories: [
        {
          id: "any",
          rules: [
            { service: "typed", priority: 1, when: { "$.header.scene": "indoors", "$.payload.data.encoding": "utf8" } },
            { service: "inner", when: { "$.parameter.any.kind": [7] } },
            { service: "streamed", when: { "$.parameter.any.mode": "fast" } },
            { service: "echo" },
          ],
        },
        { id: "inner", rules: [{ service: "perceptron" }] },
        { id: "flow", rules: [{ service: "streamed" }] },
      ],
    },
  );
});

afterAll(async () => {
  await gateway.stop(5000);
  await loader.stop(5000);
  await rm(folder, { recursive: true });
});

interface Example {
  readonly value?: unknown;
  readonly externalValue?: string;
}

interface Content {
  readonly content: Record<string, { readonly schema: { readonly $ref: string } }> & {
    readonly "application/json": { readonly schema: { readonly $ref: string } };
  };
}

interface Operation {
  readonly operationId?: string;
  readonly requestBody: {
    readonly content: Record<
      string,
      { readonly schema: { readonly $ref: string }; readonly examples?: Record<string, Example> }
    >;
  };
  readonly responses: Record<string, unknown> & { readonly 200: Content };
}

interface Document {
  readonly paths: Record<string, { readonly post?: Operation; readonly get?: Operation }>;
  readonly components: { readonly schemas: Record<string, { readonly examples?: readonly unknown[] }> };
}

const get = (path: string) => fetch(`${urlOf(gateway)}${path}`, { redirect: "manual" });
const documentAt = async (path: string) => (await (await get(path)).json()) as Document;

function examplesOf(document: Document): readonly { path: string; name: string; value: unknown }[] {
  return Object.entries(document.paths).flatMap(([path, { post: operation }]) =>
    Object.entries(operation?.requestBody?.content["application/json"]?.examples ?? {}).map(([name, { value }]) => ({
      path,
      name,
      value,
    })),
  );
}

/** Posts a request whose results come as a stream. */
async function framesOf(path: string, accept: string, value: unknown): Promise<readonly Frame[]> {
  const headers = { "content-type": "application/json", accept };
  const response = await fetch(`${urlOf(gateway)}${path}`, { method: "POST", body: JSON.stringify(value), headers });
  expect([path, response.status, response.headers.get("content-type")]).toEqual([path, 200, accept]);
  const lines = (await response.text()).split("\n").filter((line) => line !== "" && !line.startsWith(":"));
  return lines.map((line) => JSON.parse(line.replace(/^data: /, "")));
}

const lengthHeader = "inference-header-content-length";

/** Posts an example to a model: one in JSON, or the bytes that stand elsewhere, with their header. */
async function askModel(path: string, value: unknown, externalValue: string | undefined): Promise<Response> {
  if (externalValue === undefined) {
    return fetch(`${urlOf(gateway)}${path}`, { method: "POST", body: JSON.stringify(value) });
  }
  const example = await get(externalValue);
  const headers = { [lengthHeader]: example.headers.get(lengthHeader) ?? "" };
  return fetch(`${urlOf(gateway)}${path}`, { method: "POST", body: await example.bytes(), headers });
}

/** The JSON of a model's answer, without the binary data behind it. */
async function headOf(answer: Response): Promise<unknown> {
  const bytes = Buffer.from(await answer.bytes());
  const length = answer.headers.get(lengthHeader);
  return JSON.parse(bytes.subarray(0, length === null ? undefined : Number(length)).toString());
}

describe("the OpenAPI document of a gateway", () => {
  test("is one, and so is that of each service and category", async () => {
    const services = ["echo", "s0echo", "mmocr", "typed", "patterned", "streamed", "perceptron", "two-inputs"];
    const ids = [...services, "any", "inner", "flow"];
    for (const path of ["/openapi.json", ...ids.map((id) => `/openapi/${id}.json`)]) {
      const response = await get(path);
      expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
      const validator = new Validator();
      const { valid, errors } = await validator.validate(await response.json());
      expect({ path, valid, errors }).toEqual({ path, valid: true, errors: undefined });
      expect(() => validator.resolveRefs()).not.toThrow();
    }
    expect((await get("/openapi/nobody.json")).status).toBe(404);
  });

  test("has for every service that one can be made for an example which the service answers", async () => {
    const unified = examplesOf(await documentAt("/openapi.json")).filter(({ path }) => path.startsWith("/v1/"));
    expect(unified.map(({ path, name }) => `${path} ${name}`)).toEqual([
      "/v1/private/echo request",
      "/v1/private/mmocr request",
      "/v1/private/typed request",
      "/v1/private/patterned request",
      "/v1/private/streamed request",
      "/v1/private/perceptron request",
      "/v1/private/two-inputs request",
      "/v1/private/any typed",
      "/v1/private/any streamed",
      "/v1/private/any echo",
      "/v1/private/inner perceptron",
      "/v1/private/flow streamed",
    ]);
    for (const { path, name, value } of unified) {
      // They are answered as streams alone.
      if (`${path} ${name}`.includes("streamed")) continue;
      const { status, body } = await post(`${urlOf(gateway)}${path}`, value);
      expect({ path, name, status, header: body.header }).toMatchObject({ path, name, status: 200 });
    }
  });

  test("has for every service examples that are answered as a stream as well, frame by frame as it says", async () => {
    const document = await documentAt("/openapi.json");
    const compiler = new Ajv2020({ strict: false, logger: false });
    compiler.addSchema({ ...document, $id: "openapi" });
    const asked: string[] = [];
    for (const { path, name, value } of examplesOf(document).filter((example) => example.path.startsWith("/v1/"))) {
      const { content } = document.paths[path]?.post?.responses[200] ?? expect.unreachable();
      for (const accept of ["text/event-stream", "application/x-ndjson"]) {
        const frames = await framesOf(path, accept, value);
        const check = compiler.getSchema(`openapi${content[accept]?.schema.$ref}`) ?? expect.unreachable();
        for (const frame of frames) {
          expect({ path, frame, valid: check(frame), errors: check.errors }).toMatchObject({ valid: true });
          expect(frame.header.code).toBe(0);
        }
        expect([2, 3]).toContain(frames.at(-1)?.header.status ?? expect.unreachable());
        asked.push(`${path} ${name}`);
      }
    }
    expect(new Set(asked).size).toBe(12);
    for (const id of ["streamed", "flow"]) {
      const { content } = document.paths[`/v1/private/${id}`]?.post?.responses[200] ?? expect.unreachable();
      expect(Object.keys(content)).toEqual(["text/event-stream", "application/x-ndjson"]);
    }
  });

  test("has for every service a session over WebSocket that is held as it says", async () => {
    const document = await documentAt("/openapi.json");
    const compiler = new Ajv2020({ strict: false, logger: false });
    addFormats.default(compiler);
    compiler.addSchema({ ...document, $id: "openapi" });
    const whole = new Map(examplesOf(document).map(({ path, value }) => [path, value]));
    const held: string[] = [];
    for (const [path, { get: operation }] of Object.entries(document.paths)) {
      if (operation?.operationId?.startsWith("session_") !== true || /any|inner|flow/.test(path)) continue;
      const id = path.replace("/v1/private/", "");
      const schemaOf = (name: string) => compiler.getSchema(`openapi#/components/schemas/${id}.${name}`);
      const sent = document.components.schemas[`${id}.SessionFrame`]?.examples ?? [whole.get(path)];
      const check = schemaOf("SessionFrame") ?? schemaOf("Request") ?? expect.unreachable();
      const checkFrame = schemaOf("Frame") ?? expect.unreachable();
      const socket = await openSocket(`${urlOf(gateway)}${path}`);
      for (const frame of sent) {
        expect({ id, frame, valid: check(frame), errors: check.errors }).toMatchObject({ valid: true });
        socket.send(frame);
      }
      expect(await socket.closed).toMatchObject({ code: 1000 });
      for (const frame of socket.frames) {
        expect({ id, frame, valid: checkFrame(frame), errors: checkFrame.errors }).toMatchObject({ valid: true });
      }
      held.push(`${id} ${sent.length} ${socket.frames.length}`);
    }
    // What a service that streams answers is a word that the session is open, and here a result for each frame.
    expect(held).toEqual([
      "echo 3 4",
      "mmocr 1 1",
      "typed 1 1",
      "patterned 1 1",
      "streamed 3 4",
      "perceptron 1 1",
      "two-inputs 1 1",
    ]);
  });

  test("says what a request gets that becomes no WebSocket", async () => {
    const document = await documentAt("/openapi.json");
    const { responses } = document.paths["/v1/private/streamed"]?.get ?? expect.unreachable();
    const handshake = { connection: "upgrade", upgrade: "websocket", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
    for (const [headers, status] of [
      [{}, 405] as const,
      [{ ...handshake, "sec-websocket-version": "8" }, 400] as const,
    ]) {
      expect((await fetch(`${urlOf(gateway)}/v1/private/streamed`, { headers })).status).toBe(status);
      expect(responses).toHaveProperty(String(status));
    }
  });

  test("has for every model a request of the Open Inference Protocol, in JSON or binary, which is answered as it says", async () => {
    const document = await documentAt("/openapi.json");
    const compiler = new Ajv2020({ strict: false, logger: false });
    compiler.addSchema({ ...document, $id: "openapi" });
    const asked: string[] = [];
    for (const [path, { post: operation }] of Object.entries(document.paths)) {
      const id = /^\/v2\/models\/(.*)\/infer$/.exec(path)?.[1];
      if (id === undefined) continue;
      const { content } = operation?.requestBody ?? expect.unreachable();
      const check = compiler.getSchema(`openapi#/components/schemas/${id}.ModelAnswer`) ?? expect.unreachable();
      for (const [type, { examples = {} }] of Object.entries(content)) {
        for (const { value, externalValue } of Object.values(examples)) {
          const answer = await askModel(path, value, externalValue);
          asked.push(`${id} ${type} ${answer.status}`);
          const head = await headOf(answer);
          expect({ id, type, valid: check(head), errors: check.errors, head }).toMatchObject({ valid: true });
        }
      }
    }
    expect(asked).toEqual([
      "echo application/json 200",
      "echo application/octet-stream 200",
      "mmocr application/octet-stream 200",
      "typed application/octet-stream 200",
      "patterned application/octet-stream 200",
      "perceptron application/json 200",
      "perceptron application/octet-stream 200",
      "two-inputs application/json 200",
      "two-inputs application/octet-stream 200",
    ]);
    expect((await get("/openapi/nobody.bin")).status).toBe(404);
  });

  test("has for every call by Connect examples that are answered as it says, and its errors' statuses", async () => {
    const document = await documentAt("/openapi.json");
    const compiler = new Ajv2020({ strict: false, logger: false });
    compiler.addSchema({ ...document, $id: "openapi" });
    const asked: string[] = [];
    for (const { path, name, value } of examplesOf(document).filter((example) => example.path.startsWith("/athena"))) {
      const at = `#/paths/${path.replaceAll("/", "~1")}/post`;
      const sent = compiler.compile({ $ref: `openapi${at}/requestBody/content/application~1json/schema` });
      const got = compiler.compile({ $ref: `openapi${at}/responses/200/content/application~1json/schema` });
      expect({ name, valid: sent(value), errors: sent.errors }).toMatchObject({ valid: true });
      const { status, body } = await post(`${urlOf(gateway)}${path}`, value);
      expect({ name, status, body, valid: got(body), errors: got.errors }).toMatchObject({ status: 200, valid: true });
      asked.push(`${path.replace("/athena.v1.", "")} ${name}`);
    }
    const services = ["echo", "mmocr", "typed", "patterned", "streamed", "perceptron", "two-inputs"];
    expect(asked).toEqual([
      "CatalogService/ListServices all",
      ...services.filter((id) => id !== "streamed").map((id) => `InferenceService/Infer ${id}`),
      ...services.map((id) => `CatalogService/DescribeService ${id}`),
    ]);
    const path = "/athena.v1.InferenceService/Infer";
    const check = compiler.getSchema("openapi#/components/schemas/ConnectError") ?? expect.unreachable();
    for (const value of [{ service: "nobody" }, { service: "echo" }, { service: "streamed" }, { other: 1 }, "{"]) {
      const { status, body } = await post(`${urlOf(gateway)}${path}`, value);
      expect(document.paths[path]?.post?.responses).toHaveProperty(String(status));
      expect({ value, valid: check(body), status: status < 400 }).toEqual({ value, valid: true, status: false });
    }
  });

  test("describes every page of the Open Inference Protocol that answers, as it answers", async () => {
    const document = await documentAt("/openapi.json");
    const compiler = new Ajv2020({ strict: false, logger: false });
    compiler.addSchema({ ...document, $id: "openapi" });
    const directory = createModelDirectory(() => []);
    const described = new Set<string>();
    for (const { method, path } of pagesOf({ directory, control: async () => {}, isDraining: () => false })) {
      if (path.includes(":repository") || path.includes("/load") || path.includes("/unload")) continue;
      const template = path.replace(":model", "{model}");
      const operation = document.paths[template]?.[method === "GET" ? "get" : "post"] ?? expect.unreachable(template);
      const response = await fetch(`${urlOf(gateway)}${path.replace(":model", "perceptron")}`, { method });
      const { $ref } = operation.responses["200"].content["application/json"].schema;
      const check = compiler.getSchema(`openapi${$ref}`) ?? expect.unreachable();
      const body = await response.json();
      expect({ path, status: response.status, valid: check(body), errors: check.errors }).toMatchObject({
        status: 200,
        valid: true,
      });
      described.add(template);
    }
    const others = Object.keys(document.paths).filter((path) =>
      /^\/v2(?!.*\/(infer|generate|generate_stream)$)/.test(path),
    );
    expect(new Set(others)).toEqual(described);
  });

  test("describes the requests that the gateway takes: examples are what their schemas say", async () => {
    const document = await documentAt("/openapi.json");
    const compiler = new Ajv2020({ strict: false, logger: false });
    addFormats.default(compiler);
    compiler.addSchema({ ...document, $id: "openapi" });
    for (const { path, name, value } of examplesOf(document)) {
      if (name !== "request") continue;
      const { schema } = document.paths[path]?.post?.requestBody?.content["application/json"] ?? expect.unreachable();
      const check = compiler.getSchema(`openapi${schema.$ref}`);
      expect({ path, valid: check?.(value), errors: check?.errors }).toEqual({ path, valid: true, errors: null });
    }
  });

  test("says what a service's own words are for its statuses, paths, limits and defaults", async () => {
    const { paths, components } = await documentAt("/openapi/typed.json");
    const { responses } = paths["/v1/private/typed"]?.post ?? expect.unreachable();
    expect(responses["502"]).toMatchObject({
      description: "Codes 10909, as this service has it. ENDPOINT_LOST (10222).",
    });
    expect(responses["503"]).toEqual({ $ref: "#/components/responses/Error503" });
    expect(components.schemas["typed.Request"]).toMatchObject({
      properties: {
        parameter: { properties: { typed: { properties: { size: { exclusiveMinimum: 1 } } } } },
        payload: {
          properties: { picture: { required: ["image"], properties: { image: { contentEncoding: "base64" } } } },
        },
      },
    });
    const text = await (await get("/openapi/echo.json")).text();
    expect(text).toContain("Also at `/v1/private/s0echo`, `/say` of a.example.com, `/v2/say` of api.example.com.");
    expect(text).toContain('"default":"json"');
    expect(text).not.toContain("constVal");
  });

  test("is changed when what is served is, and when a loader tells another definition", async () => {
    const before = await (await get("/openapi.json")).text();
    expect(await (await get("/openapi.json")).text()).toBe(before);
    await writeFile(join(folder, "typed/service.yaml"), typed.replace("enum: [fast, exact]", "enum: [slow]"));
    const admin = addressOf(loader, "admin");
    expect((await fetch(`${admin}/v2/repository/models/typed/load`, { method: "POST" })).status).toBe(200);
    const deadline = performance.now() + 10_000;
    let after = before;
    while (after === before && performance.now() < deadline) {
      await Bun.sleep(20);
      after = await (await get("/openapi.json")).text();
    }
    expect(after).toContain('"slow"');
  });
});
