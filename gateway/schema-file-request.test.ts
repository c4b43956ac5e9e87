import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { ServingError } from "../proto/errors.ts";
import { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import { decodeEnvelope } from "./envelope/decode.ts";
import { compileService } from "./schema/compile.ts";
import { mmocrDefinition } from "./schema/mmocr.cases.ts";
import { createOverlay } from "./schema/predecessor/overlay.ts";
import { parseSchemaFile } from "./schema/predecessor/schema-file.ts";
import { validate } from "./schema/validate.ts";

const folder = join(import.meta.dir, "../tests/fixtures/schemas");
const read = (name: string) => parseSchemaFile(readFileSync(join(folder, name), "utf8"), name).value;
const mmocr = createOverlay(read("schema_mmocr.json"), "mmocr")(undefined);
const echo = createOverlay(read("schema_echo.json"), "echo")(undefined);

const demo = {
  header: {
    app_id: "123456",
    uid: "39769795890",
    did: "SR082321940000200",
    imei: "8664020318693660",
    imsi: "4600264952729100",
    mac: "6c:92:bf:65:c6:14",
    net_type: "wifi",
    net_isp: "CMCC",
    status: 3,
    request_id: null,
  },
  parameter: {
    mmocr: {
      category: "ai_category",
      application_mode: "common_gpu",
      gpu_id: "first",
      gpu_type: "T4G16",
      boxes: { encoding: "utf8", compress: "raw", format: "json" },
    },
  },
  payload: { data: { encoding: "jpg", image: "AQID", status: 3 } },
};

const requestFor = (service: typeof mmocr, body: unknown) =>
  validate(service, decodeEnvelope(JSON.stringify(body)), "s");

function failureOf(service: typeof mmocr, body: unknown): ServingError {
  try {
    requestFor(service, body);
  } catch (error) {
    if (error instanceof ServingError) return error;
    throw error;
  }
  throw new Error("the request was accepted");
}

describe("validate() with the shipped schema of the predecessor's demo", () => {
  test("makes the demo's request as the demo's definition does", () => {
    expect(requestFor(mmocr, demo)).toEqual({
      ...validate(compileService(mmocrDefinition()), decodeEnvelope(JSON.stringify(demo)), "s"),
      version: "v1.0",
    });
    expect(mmocr.sidPrefix).toBe("ase");
    expect(mmocr.definition.inputs[0]).toMatchObject({ name: "data", type: PartType.IMAGE, maxBytes: 7_864_320n });
  });

  const header = { ...demo.header };
  test.each<[string, object, string, number]>([
    ["no app_id", { header: { status: 3 } }, "'$.header.app_id' field is required; ", 10163],
    ["another status", { header: { ...header, status: 1 } }, "'$.header.status' must be one of [3]; ", 10163],
    [
      "a status that is a text",
      { header: { ...header, status: "3" } },
      "'$.header.status' type must be integer; ",
      10163,
    ],
    ["an unknown header", { header: { ...header, foo: 1 } }, "'$.header.foo' unknown field; ", 10163],
    ["an app_id that is null", { header: { ...header, app_id: null } }, "appid cannot be empty", 10313],
    [
      "no data",
      { payload: { data: { status: 3, image: "" } } },
      "'$.payload.data.image' length must be at least 1",
      10163,
    ],
    ["data of another kind", { payload: { data: { text: "AQID" } } }, "'$.payload.data.text' unknown field; ", 10163],
    [
      "a stream that nobody knows",
      { payload: { ...demo.payload, more: {} } },
      "'$.payload.more' unknown field; ",
      10163,
    ],
  ])("refuses %s", (_, changes, message, code) => {
    const error = failureOf(mmocr, { ...demo, ...changes });
    expect(error.message).toContain(message);
    expect(error.class.legacyCode).toBe(code);
  });

  test("refuses an empty object for its app_id alone, as no section is required", () => {
    expect(failureOf(mmocr, {}).reason).toBe("APP_ID_MISSING");
  });

  test("tells data that is too long by its own status", () => {
    const image = new Uint8Array(7_864_321).toBase64();
    const error = failureOf(mmocr, { ...demo, payload: { data: { ...demo.payload.data, image } } });
    expect(error.reason).toBe("PAYLOAD_TOO_LARGE");
    expect(error.message).toContain("'$.payload.data.image' length must be at most 10485760");
  });
});

describe("validate() with a schema that rewrites", () => {
  const say = { header: { app_id: "1" }, payload: { data: { text: "aGk=" } } };

  test("hands on what the schema makes of the request", () => {
    const request = requestFor(echo, {
      header: { app_id: "1", user: "anna", status: 0 },
      parameter: { say: { delayMs: 5, data: { encoding: "gbk", note: "n" } }, more: { speed: 3 } },
      payload: { data: { text: "aGk=", status: 3 }, spare: { text: "" } },
    });
    expect(request).toMatchObject({
      service: "echo",
      headers: { app_id: "1", appid: "1", user: "anna", uid: "anna", status: "3" },
      parameters: { delayMs: "5", speed: "3" },
      expects: [{ name: "data", attributes: { encoding: "utf8", format: "json", note: "n" } }],
    });
    expect(request.parts).toHaveLength(1);
    expect(request.parts[0]).toMatchObject({ name: "data", attributes: { encoding: "raw", status: "3" } });
  });

  test("gives an output that the caller does not name the attributes that the schema sets", () => {
    expect(requestFor(echo, say).expects[0]?.attributes).toEqual({ encoding: "utf8", format: "json" });
  });

  test("takes rewritten data for data", () => {
    const file = read("schema_echo.json");
    const data = {
      properties: { text: { defaultVal: "aGVsbG8=" }, speech: { replaceKey: "text" }, copy: {} },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the dialect's own way to name a value.
      setVal: { copy: "${text}" },
    };
    const input = { properties: { payload: { properties: { data } }, header: {} } };
    const service = createOverlay({ ...file, input }, "echo")(undefined);
    const ask = (stream: object) => requestFor(service, { ...say, payload: { data: stream } }).parts[0];
    expect(Buffer.from(ask({})?.data ?? []).toString()).toBe("hello");
    expect(ask({ text: "AQID" })).toMatchObject({ attributes: { copy: "AQID" }, data: new Uint8Array([1, 2, 3]) });
    expect(ask({ text: { a: 1 } })?.data).toEqual(new TextEncoder().encode('{"a":1}'));
  });

  test("reads the texts of a request that came as a message as what the schema asks for", () => {
    const envelope = {
      header: { app_id: "1", status: "9" },
      parameter: { say: { delayMs: "5", data: { rate: "8", final: "true", note: "7" } }, more: { speed: "3" } },
      payload: [{ name: "data", type: PartType.TEXT, data: new Uint8Array(1), attributes: { status: "3" } }],
      isText: true,
    };
    const before = structuredClone(envelope);
    expect(validate(echo, envelope, "s")).toMatchObject({
      parameters: { delayMs: "5", speed: "3" },
      expects: [{ attributes: { rate: "8", final: "true", note: "7" } }],
      parts: [{ attributes: { status: "3" } }],
    });
    expect(envelope).toEqual(before);
    // A message has one set of parameters, which adapters put under the service's id.
    const message = { ...envelope, parameter: { echo: envelope.parameter.say } };
    expect(validate(echo, message, "s")).toMatchObject({
      parameters: { delayMs: "5" },
      expects: [{ attributes: { rate: "8" } }],
    });
    const wrong = { ...envelope, parameter: { more: { speed: "fast" } } };
    expect(() => validate(echo, wrong, "s")).toThrow("'$.parameter.more.speed' type must be integer");
  });

  test("leaves what the caller wrote as it was", () => {
    const envelope = decodeEnvelope(JSON.stringify({ ...say, parameter: { say: { data: {} } } }));
    const before = structuredClone(envelope);
    validate(echo, envelope, "s");
    expect(envelope).toEqual(before);
  });

  test("answers with the declared types of the outputs' attributes", () => {
    expect(echo.outputTypes.get("data")).toEqual(
      new Map([
        ["rate", "number"],
        ["final", "boolean"],
      ]),
    );
  });

  test("refuses with a ServingError or accepts, whatever it is given", () => {
    const body = fc.record(
      {
        header: fc.oneof(fc.object(), fc.constant(say.header)),
        parameter: fc.dictionary(fc.constantFrom("say", "more", "__proto__", "x"), fc.jsonValue()),
        payload: fc.dictionary(
          fc.constantFrom("data", "spare", "__proto__"),
          fc.dictionary(fc.string(), fc.jsonValue()),
        ),
      },
      { requiredKeys: [] },
    );
    const property = fc.property(body, (given) => {
      try {
        requestFor(echo, given);
      } catch (error) {
        expect(error).toBeInstanceOf(ServingError);
      }
    });
    fc.assert(property, { numRuns: 200 });
  });
});

describe("createOverlay()", () => {
  const overlay = createOverlay(read("schema_mmocr.json"), "mmocr");

  test("adds to the file what loaders tell beside it, and compiles it once", () => {
    const told = compileService(mmocrDefinition({ description: "reads", platform: "onnxruntime_onnx" }));
    const compiled = overlay(told);
    expect(overlay(told)).toBe(compiled);
    expect(compiled.definition).toMatchObject({ description: "reads", platform: "onnxruntime_onnx", version: "v1" });
    expect(compiled.definition.outputs[0]?.attributes).toEqual({ encoding: "utf8", compress: "raw", format: "json" });
    const { expects } = requestFor(compiled, { ...demo, parameter: { mmocr: { ...demo.parameter.mmocr, boxes: {} } } });
    expect(expects[0]?.attributes).toEqual({ encoding: "utf8", compress: "raw", format: "json" });
  });

  test("lets the file decide what a request may be, whatever a loader tells", () => {
    const strict = compileService(mmocrDefinition({ headerSchema: '{"required":["uid"],"properties":{"uid":{}}}' }));
    const { uid: _, ...header } = demo.header;
    expect(requestFor(overlay(strict), { ...demo, header }).headers.app_id).toBe("123456");
  });
});
