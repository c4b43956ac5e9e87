import { describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type Reason, ServingError } from "../../proto/errors.ts";
import { InferRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { Envelope, LiftedPart } from "../types.ts";
import { compileService } from "./compile.ts";
import { mmocrDefinition } from "./mmocr.cases.ts";
import { type ValidateOptions, validate, validateChunk } from "./validate.ts";

const mmocr = compileService(mmocrDefinition());
const anyHeader = compileService(mmocrDefinition({ headerSchema: "", parametersSchema: "" }));

const header = {
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
};
const parameters = {
  category: "ai_category",
  application_mode: "common_gpu",
  gpu_id: "first",
  gpu_type: "T4G16",
};
const boxes = { encoding: "utf8", compress: "raw", format: "json" };
const picture: LiftedPart = {
  name: "data",
  type: PartType.IMAGE,
  data: new Uint8Array([1, 2, 3]),
  attributes: { encoding: "jpg", status: 3 },
};
const good: Envelope = { header, parameter: { mmocr: { ...parameters, boxes } }, payload: [picture] };

function failureOf(envelope: Envelope, service = mmocr, options: ValidateOptions = {}): ServingError {
  try {
    validate(service, envelope, "sid", options);
  } catch (error) {
    if (error instanceof ServingError) return error;
    throw error;
  }
  throw new Error("the request was accepted");
}

describe("validate()", () => {
  test("makes the request of the predecessor's demo, ready for the wire", () => {
    const request = validate(mmocr, good, "ase1");
    const expected = create(InferRequestSchema, {
      service: "mmocr",
      version: "v1",
      sid: "ase1",
      headers: { ...header, status: "3", request_id: "", appid: "123456" },
      parameters,
      expects: [{ name: "boxes", type: PartType.TEXT, attributes: boxes }],
      parts: [{ name: "data", type: PartType.IMAGE, attributes: { encoding: "jpg", status: "3" }, data: picture.data }],
    });
    expect(request).toEqual(expected);
    expect(fromBinary(InferRequestSchema, toBinary(InferRequestSchema, request))).toEqual(expected);
  });

  test("does not copy the data", () => {
    expect(validate(mmocr, good, "s").parts[0]?.data).toBe(picture.data);
  });

  test("fills in the accepts that are missing or null, and attributes that were not asked for", () => {
    const asked = (accepts: object) =>
      validate(mmocr, { ...good, parameter: { mmocr: { ...parameters, ...accepts } } }, "s").expects[0]?.attributes;
    expect(asked({})).toEqual(boxes);
    expect(asked({ boxes: null })).toEqual(boxes);
    expect(asked({ boxes: {} })).toEqual(boxes);
    expect(asked({ boxes: { format: "plain", encoding: null, rate: 0.5 } })).toEqual({
      ...boxes,
      format: "plain",
      rate: "0.5",
    });
  });

  test("does not let one request change what the next one gets by default", () => {
    const { expects } = validate(mmocr, { ...good, parameter: { mmocr: parameters } }, "s");
    const [first] = expects;
    expect(() => {
      if (first !== undefined) first.attributes.format = "xml";
    }).toThrow();
  });

  test("gives the parts in the order of the definition", () => {
    const definition = mmocrDefinition();
    const [input] = definition.inputs;
    if (input === undefined) throw new Error("no input");
    const second = { ...input, name: "another", required: false };
    const service = compileService(mmocrDefinition({ inputs: [input, second] }));
    const { parts } = validate(service, { ...good, payload: [{ ...picture, name: "another" }, picture] }, "s");
    expect(parts.map((part) => part.name)).toEqual(["data", "another"]);
  });

  test("makes text of headers and parameters, lists joined by semicolons", () => {
    const envelope: Envelope = {
      header: { ...header, patch_id: ["a", "b"], directEngIp: "10.0.0.1:80" },
      parameter: { mmocr: { ...parameters, threshold: 0.25 } },
      payload: [picture],
    };
    const request = validate(mmocr, envelope, "s");
    expect(request.headers.patch_id).toBe("a;b");
    expect(request.headers.directEngIp).toBe("10.0.0.1:80");
    expect(request.parameters.threshold).toBe("0.25");
  });

  const cases: readonly [string, Partial<Envelope>, string][] = [
    ["a header without app_id", { header: { status: 3 } }, "'$.header.app_id' field is required; "],
    ["a wrong status", { header: { ...header, status: 1 } }, "'$.header.status' must be one of [3]; "],
    ["a header that is not declared", { header: { ...header, foo: 1 } }, "'$.header.foo' unknown field; "],
    ["a number that is too long a text", { header: { ...header, uid: 5 } }, "'$.header.uid' type must be string; "],
    [
      "a list with a wrong item",
      { header: { ...header, patch_id: ["a", 1] } },
      "'$.header.patch_id[1]' type must be string; ",
    ],
    [
      "two wrong headers",
      { header: { ...header, net_type: "6G", mac: "x".repeat(51) } },
      "'$.header.net_type' must be one of [wifi, 2G, 3G, 4G, 5G]",
    ],
    ["no parameter where some are required", { parameter: {} }, "'$.parameter.mmocr.category' field is required; "],
    [
      "another service's parameters",
      { parameter: { mmocr: parameters, ocr: {} } },
      "'$.parameter.ocr' unknown field, expected 'mmocr'; ",
    ],
    ["parameters that are a list", { parameter: { mmocr: [] } }, "'$.parameter.mmocr' type must be object; "],
    [
      "an unknown parameter",
      { parameter: { mmocr: { ...parameters, colour: "red" } } },
      "'$.parameter.mmocr.colour' unknown field; ",
    ],
    [
      "a parameter out of bounds",
      { parameter: { mmocr: { ...parameters, threshold: 2 } } },
      "'$.parameter.mmocr.threshold' must be <= 1; ",
    ],
    [
      "an accept that is text",
      { parameter: { mmocr: { ...parameters, boxes: "json" } } },
      "'$.parameter.mmocr.boxes' type must be object; ",
    ],
    [
      "an accept in a format that does not exist",
      { parameter: { mmocr: { ...parameters, boxes: { format: "yaml" } } } },
      "'$.parameter.mmocr.boxes.format' must be one of [plain, json, xml]; ",
    ],
    ["a missing input", { payload: [] }, "'$.payload.data' field is required; "],
    [
      "an unknown input",
      { payload: [picture, { ...picture, name: "more" }] },
      "'$.payload.more' unknown field, must be one of [data]; ",
    ],
    [
      "data of another type",
      { payload: [{ ...picture, type: PartType.TEXT }] },
      "'$.payload.data.image' field is required; got 'text'; ",
    ],
    [
      "an input without data",
      { payload: [{ ...picture, type: PartType.UNSPECIFIED, data: new Uint8Array(0) }] },
      "'$.payload.data.image' field is required; ",
    ],
    [
      "empty data",
      { payload: [{ ...picture, data: new Uint8Array(0) }] },
      "'$.payload.data.image' must not be empty; ",
    ],
    [
      "an unknown attribute",
      { payload: [{ ...picture, attributes: { colour: "red" } }] },
      "'$.payload.data.colour' unknown field; ",
    ],
    [
      "an attribute of the protocol that is out of its range",
      { payload: [{ ...picture, attributes: { seq: -1 } }] },
      "'$.payload.data.seq' must be >= 0; ",
    ],
    [
      "an attribute of the protocol that is of another type",
      { payload: [{ ...picture, attributes: { compress: 1 } }] },
      "'$.payload.data.compress' type must be string; ",
    ],
  ];
  test.each(cases)("refuses %s", (_, changes, mistake) => {
    const error = failureOf({ ...good, ...changes });
    expect(error.reason).toBe("SCHEMA_VIOLATION");
    expect(error.message).toStartWith("parameter schema validate error: '$.");
    expect(error.message).toContain(mistake);
  });

  test("lets the protocol's own attributes pass though they are not declared", () => {
    const attributes = { seq: 4, compress: "raw", format: null, data_type: "image" };
    const { parts } = validate(mmocr, { ...good, payload: [{ ...picture, attributes }] }, "s");
    expect(parts[0]?.attributes).toEqual({ seq: "4", compress: "raw", format: "", data_type: "image" });
  });

  test("tells every mistake of a request at once", () => {
    const error = failureOf({
      header: { foo: 1 },
      parameter: { mmocr: { ...parameters, gpu_id: "second" } },
      payload: [{ ...picture, type: PartType.AUDIO, attributes: { encoding: "gif" } }],
    });
    expect(error.message).toBe(
      "parameter schema validate error: '$.header.app_id' field is required; '$.header.status' field is required; " +
        "'$.header.foo' unknown field; '$.parameter.mmocr.gpu_id' must be one of [first]; " +
        "'$.payload.data.encoding' must be one of [jpg, png, bmp, jpeg]; " +
        "'$.payload.data.image' field is required; got 'audio'; ",
    );
  });

  test("bounds the message however many mistakes there are and however long their names", () => {
    const few = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`${"k".repeat(500)}${index}`, 1]));
    const message = failureOf({ ...good, header: { ...header, ...few } }).message;
    expect(message.length).toBeLessThan(2100);
    expect(message).toContain("k…");
    const numbered = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, 1]));
    expect(failureOf({ ...good, header: { ...header, ...numbered } }).message).toEndWith("and 30 more; ");
  });

  test("answers quickly to a header with 200,000 mistakes", () => {
    const wrong = Array.from({ length: 200_000 }, () => 1);
    const started = performance.now();
    expect(failureOf({ ...good, header: { ...header, patch_id: wrong } }).reason).toBe("SCHEMA_VIOLATION");
    expect(performance.now() - started).toBeLessThan(500);
  });

  test("refuses data above the input's limit as too large, with the limit", () => {
    const payload = [{ ...picture, data: new Uint8Array(10_485_761) }];
    const error = failureOf({ ...good, payload });
    expect(error.reason).toBe("PAYLOAD_TOO_LARGE");
    expect(error.message).toContain("'$.payload.data.image' must be at most 10485760 bytes, got 10485761");
    const both = failureOf({ ...good, header: {}, payload });
    expect(both.reason).toBe("SCHEMA_VIOLATION");
    expect(both.message).toContain("must be at most 10485760 bytes");
    const exact = [{ ...picture, data: new Uint8Array(10_485_760) }];
    expect(validate(mmocr, { ...good, payload: exact }, "s").parts).toHaveLength(1);
  });

  test("takes an optional input without data", () => {
    const [input] = mmocrDefinition().inputs;
    if (input === undefined) throw new Error("no input");
    const service = compileService(mmocrDefinition({ inputs: [{ ...input, required: false }] }));
    const end: LiftedPart = { name: "data", type: PartType.UNSPECIFIED, data: new Uint8Array(0), attributes: {} };
    expect(validate(service, { ...good, payload: [end] }, "s").parts).toHaveLength(1);
    expect(validate(service, { ...good, payload: [] }, "s").parts).toEqual([]);
  });
});

describe("validate() of the caller's app", () => {
  const reasonOf = (given: Record<string, unknown>): Reason => failureOf({ ...good, header: given }, anyHeader).reason;

  test("refuses a request without app_id after everything else was checked", () => {
    for (const given of [{}, { app_id: null }, { app_id: "" }, { appid: "" }]) {
      expect(reasonOf(given)).toBe("APP_ID_MISSING");
    }
    expect(reasonOf({ status: 7 })).toBe("SCHEMA_VIOLATION");
    expect(failureOf({ ...good, header: { ...header, app_id: null } }).message).toBe(
      "'$.header.app_id' must not be empty: appid cannot be empty",
    );
  });

  test("names it both ways", () => {
    for (const given of [{ app_id: "1" }, { appid: "1" }, { appid: 1, app_id: null }]) {
      expect(validate(anyHeader, { ...good, header: given }, "s").headers).toEqual({ app_id: "1", appid: "1" });
    }
  });

  test("can be switched off", () => {
    expect(validate(anyHeader, { ...good, header: {} }, "s", { requireAppId: false }).headers).toEqual({});
  });
});

describe("validate() of a service that describes neither header nor parameters", () => {
  const message = (changes: Partial<Envelope>) => failureOf({ ...good, ...changes }, anyHeader).message;

  test("takes any flat header and any parameters", () => {
    const envelope: Envelope = {
      header: { app_id: "1", anything: true, list: [1, "b"], status: 0 },
      parameter: { mmocr: { one: 1, nested: { a: [1] } } },
      payload: [picture],
    };
    const request = validate(anyHeader, envelope, "s");
    expect(request.headers).toMatchObject({ anything: "true", list: "1;b", status: "0" });
    expect(request.parameters).toEqual({ one: "1", nested: '{"a":[1]}' });
  });

  test("refuses a nested header, a status that is none, and a key that an object cannot hold", () => {
    expect(message({ header: { app_id: "1", a: {} } })).toContain("'$.header.a' type must be string, number, boolean");
    expect(message({ header: { app_id: "1", status: "3" } })).toContain(
      "'$.header.status' must be one of [0, 1, 2, 3]",
    );
    expect(message({ header: JSON.parse('{"__proto__":"x"}') })).toContain("'$.header.__proto__' unknown field");
    expect(message({ parameter: { mmocr: JSON.parse('{"__proto__":{"a":1}}') } })).toContain(
      "'$.parameter.mmocr.__proto__' unknown field",
    );
  });
});

describe("validate() with any envelope", () => {
  test("gives a request that the wire takes or a refusal that is the caller's fault, never another throw", () => {
    const values = fc.dictionary(
      fc.oneof(fc.constantFrom(...Object.keys(header), "__proto__"), fc.string()),
      fc.jsonValue(),
    );
    const inner = fc.dictionary(
      fc.constantFrom(...Object.keys(parameters), "boxes", "threshold", "toString"),
      fc.oneof(fc.constantFrom(...Object.values(parameters)), values, fc.jsonValue()),
    );
    const parameter = fc.dictionary(fc.constantFrom("mmocr", "other"), fc.oneof(inner, fc.jsonValue()));
    const part = fc.record({
      name: fc.constantFrom("data", "more"),
      type: fc.constantFrom(PartType.UNSPECIFIED, PartType.TEXT, PartType.IMAGE),
      data: fc.uint8Array({ maxLength: 8 }),
      attributes: fc.dictionary(fc.constantFrom("encoding", "status", "seq", "x"), fc.jsonValue()),
    });
    const envelope = fc.record({
      header: fc.oneof(
        values,
        values.map((given) => ({ ...header, ...given })),
      ),
      parameter: fc.oneof(parameter, fc.constant(good.parameter)),
      payload: fc.oneof(fc.array(part, { maxLength: 3 }), fc.constant([picture])),
    });
    const property = fc.property(envelope, fc.constantFrom(mmocr, anyHeader), (given, service) => {
      try {
        toBinary(InferRequestSchema, validate(service, given, "s"));
        return true;
      } catch (error) {
        return error instanceof ServingError && error.class.httpStatus >= 400 && error.class.httpStatus < 500;
      }
    });
    fc.assert(property, { numRuns: 300 });
  });
});

describe("the frames of a session", () => {
  const chunk = (payload: readonly LiftedPart[], more: Partial<Envelope> = {}) =>
    validateChunk(mmocr, { header: {}, parameter: {}, payload, ...more });

  test("may leave inputs out, and data too: the opening as well as each that follows", () => {
    const opening = validate(mmocr, { ...good, payload: [] }, "s", { isOpening: true });
    expect(opening).toMatchObject({ sid: "s", parts: [], expects: [{ name: "boxes" }] });
    expect(chunk([])).toEqual([]);
    const empty = { ...picture, type: PartType.UNSPECIFIED, data: new Uint8Array() };
    expect(chunk([empty])).toMatchObject([{ name: "data", type: PartType.IMAGE, attributes: { status: "3" } }]);
  });

  test("are checked for what they have; of a later frame only status and payload count", () => {
    expect(chunk([picture], { header: { status: 1, nonsense: {} }, parameter: { other: 1 } })).toHaveLength(1);
    expect(() => chunk([], { header: { status: 4 } })).toThrow("'$.header.status' must be one of [0, 1, 2, 3]");
    expect(() => chunk([{ ...picture, type: PartType.TEXT }])).toThrow("'$.payload.data.image' field is required");
    expect(() => chunk([{ ...picture, name: "other" }])).toThrow("'$.payload.other' unknown field");
    expect(() => chunk([{ ...picture, attributes: { encoding: "gif" } }])).toThrow("'$.payload.data.encoding'");
  });
});
