import { describe, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import fc from "fast-check";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { ServiceDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { decodeEnvelope } from "../envelope/decode.ts";
import { compileService } from "../schema/compile.ts";
import { mmocrDefinition } from "../schema/mmocr.cases.ts";
import { validate } from "../schema/validate.ts";
import type { ApiDescriber, DescribedService } from "./api-part.ts";
import { connectDescriber } from "./connect/describer.ts";
import { gatewayDocument, serviceDocument } from "./document.ts";
import { exampleRequest } from "./example.ts";
import { openInferenceDescriber } from "./oip/describer.ts";
import { placeSchema } from "./schema.ts";
import { exampleSession } from "./session-example.ts";
import { unifiedDescriber } from "./unified.ts";

function described(changes: Partial<ServiceDefinition> = {}): DescribedService {
  const compiled = compileService(mmocrDefinition({ once: true, ...changes }));
  const plan = { ids: [compiled.id], routes: [], fileRoutes: [], codeMap: new Map() };
  return { id: compiled.id, compiled, plan };
}

const sources = (services: readonly DescribedService[], describers: readonly ApiDescriber[] = [unifiedDescriber]) => ({
  describers,
  services,
  categories: [],
  isProtected: false,
});

const [input] = mmocrDefinition().inputs;
if (input === undefined) throw new Error("no input");

describe("gatewayDocument()", () => {
  test("joins what every protocol says of every service", () => {
    const stream: ApiDescriber = {
      service: ({ id }) => ({ paths: { [`/stream/${id}`]: { get: { responses: {} } } }, schemas: { Frame: {} } }),
      common: () => ({ paths: { "/health": { get: { responses: {} } } } }),
    };
    const document = gatewayDocument(sources([described(), described({ id: "second" })], [unifiedDescriber, stream]));
    expect(Object.keys(document.paths ?? {})).toEqual([
      "/v1/private/mmocr",
      "/v1/private/second",
      "/stream/mmocr",
      "/stream/second",
      "/health",
    ]);
    expect(document.components).toMatchObject({ schemas: { Frame: {}, Error: {}, "second.Request": {} } });
  });

  test("describes a service that only streams by its frames alone, and leaves out one that answers nothing", () => {
    const { paths, components } = gatewayDocument(sources([described({ once: false, stream: true })]));
    expect(paths).toMatchObject({ "/v1/private/mmocr": { get: { responses: { "101": {} } } } });
    expect(JSON.stringify(paths)).not.toContain("mmocr.Answer");
    const { schemas } = components as { readonly schemas: object };
    expect(Object.keys(schemas).sort()).toEqual(["Error", "mmocr.Frame", "mmocr.Request", "mmocr.SessionFrame"]);
    expect(gatewayDocument(sources([described({ once: false })])).paths).toEqual({});
    expect(serviceDocument("nobody", sources([]))).toBeUndefined();
  });

  test("asks for one of the credentials that admission takes where callers must say who they are", () => {
    const document = gatewayDocument({ ...sources([described()]), isProtected: true });
    expect(document).toMatchObject({
      security: [{ bearer: [] }, { apiKey: [] }, { signature: [] }, { urlSignature: [] }],
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          apiKey: { type: "apiKey", in: "header", name: "X-Api-Key" },
          signature: { type: "apiKey", in: "header", name: "Authorization" },
          urlSignature: { type: "apiKey", in: "query", name: "authorization" },
        },
      },
    });
    expect(gatewayDocument(sources([described()]))).not.toHaveProperty("security");
  });

  test("is a document for any names and schemas that a definition may have", async () => {
    const leaf = fc.constantFrom(
      { type: "string" },
      { enum: ["a", 1] },
      { $ref: "#/$defs/d" },
      { type: "integer", minimum: 3 },
    );
    const names = fc.constantFrom("a", "properties", "default", "error", "delete", "constructor", "a/b~c");
    const schema = fc.record({ properties: fc.dictionary(names, leaf), $defs: fc.record({ d: leaf }) }).map((given) =>
      // A reference to itself is no schema.
      "$ref" in given.$defs.d ? { ...given, $defs: { d: {} } } : given,
    );
    const streamName = fc.constantFrom("x", "serving_default_x:0", "/encoder/Add_1", "a.b");
    const property = fc.asyncProperty(
      schema,
      schema,
      streamName,
      fc.constantFrom(1, 2, 3, 5),
      async (one, two, name, type) => {
        const service = described({
          stream: true,
          inputs: [{ ...input, name, type, attributesSchema: JSON.stringify(one) }],
          parametersSchema: JSON.stringify(two),
          headerSchema: "",
        });
        const document = gatewayDocument(
          sources([service], [unifiedDescriber, openInferenceDescriber, connectDescriber]),
        );
        const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(document)));
        expect({ valid, errors }).toEqual({ valid: true, errors: undefined });
      },
    );
    await fc.assert(property, { numRuns: 30 });
  }, 60_000);
});

describe("exampleRequest()", () => {
  test("is accepted by the service, or there is none", () => {
    const example = exampleRequest(described().compiled) ?? expect.unreachable();
    expect(example).toMatchObject({
      header: { app_id: "123456", status: 3 },
      parameter: { mmocr: { gpu_type: "T4G16" } },
    });
    expect(() => validate(described().compiled, decodeEnvelope(JSON.stringify(example)), "s")).not.toThrow();
    const pattern =
      '{"properties":{"code":{"type":"string","pattern":"^(?!text)(?!AAA)[A-F]{3}$"}},"required":["code"]}';
    expect(exampleRequest(described({ parametersSchema: pattern }).compiled)).toBeUndefined();
    const tiff = JSON.stringify({ encoding: { enum: ["tiff"] } });
    expect(exampleRequest(described({ inputs: [{ ...input, attributesSchema: tiff }] }).compiled)).toBeUndefined();
  });

  test("has the example of an input's definition, and a picture or video in an encoding that the input takes", () => {
    const given = described({
      inputs: [{ ...input, type: PartType.VIDEO, attributesSchema: "", example: new Uint8Array([1, 2]) }],
    });
    expect(exampleRequest(given.compiled)?.payload).toEqual({ data: { status: 3, video: "AQI=" } });
    const only = (encoding: string) =>
      exampleRequest(
        described({ inputs: [{ ...input, attributesSchema: JSON.stringify({ encoding: { enum: [encoding] } }) }] })
          .compiled,
      )?.payload.data;
    expect(only("jpeg")).toMatchObject({ encoding: "jpeg", image: expect.stringMatching(/^\/9j/) });
    expect(only("png")).toMatchObject({ encoding: "png", image: expect.stringMatching(/^iVBOR/) });
    expect(only("webp")).toMatchObject({ encoding: "webp", image: expect.stringMatching(/^UklGR/) });
    const video = { ...input, type: PartType.VIDEO, attributesSchema: "" };
    expect(exampleRequest(described({ inputs: [video] }).compiled)?.payload.data).toEqual({
      status: 3,
      video: expect.stringMatching(/^AAAAHGZ0eXBpc29t/),
    });
  });
});

describe("exampleSession()", () => {
  const statuses = (changes: Partial<ServiceDefinition>) =>
    exampleSession(described({ headerSchema: "", ...changes }).compiled)?.map(({ header, payload }) => [
      header,
      payload,
    ]);

  test("ends with its last frame, and not with a part before", () => {
    const inputs = [{ ...input, attributesSchema: "" }];
    expect(statuses({ stream: true, inputs })).toEqual([
      [expect.objectContaining({ app_id: "123456", status: 0 }), { data: { image: expect.any(String) } }],
      [{ status: 1 }, { data: { image: expect.any(String) } }],
      [{ status: 2 }, { data: { image: expect.any(String) } }],
    ]);
  });

  test("says in its parts where they stand for a service that asks for that", () => {
    const attributesSchema = JSON.stringify({ properties: { status: { enum: [0, 1, 2, 3] } }, required: ["status"] });
    expect(statuses({ stream: true, inputs: [{ ...input, attributesSchema }] })?.map(([, payload]) => payload)).toEqual(
      [0, 1, 2].map((status) => ({ data: { status, image: expect.any(String) } })),
    );
  });

  test("is one frame for a service that answers once-calls only, and nothing where there is no example", () => {
    expect(statuses({})).toEqual([[expect.objectContaining({ status: 3 }), expect.anything()]]);
    const attributesSchema = JSON.stringify({ properties: { status: { enum: [3] } }, required: ["status"] });
    expect(statuses({ stream: true, inputs: [{ ...input, attributesSchema }] })).toBeUndefined();
  });
});

describe("placeSchema()", () => {
  test("leads references to where the schema stands, and leaves members alone that are called like keywords", () => {
    const schema = {
      properties: { error: { $ref: "#/$defs/x", defaultVal: { $ref: "#" }, constVal: 1 }, default: { type: "string" } },
      switch: "a",
      default: {},
      dependencies: { a: ["b"] },
      $defs: { x: { $ref: "elsewhere" } },
    };
    expect(placeSchema(schema, "#/at")).toEqual({
      properties: { error: { $ref: "#/at/$defs/x", default: { $ref: "#" } }, default: { type: "string" } },
      dependentRequired: { a: ["b"] },
      $defs: { x: { $ref: "elsewhere" } },
    });
  });
});
