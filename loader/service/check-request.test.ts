import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { type InferRequest, InferRequestSchema } from "../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";
import { checkRequest, finishParts } from "./check-request.ts";

const definition = create(ServiceDefinitionSchema, {
  id: "mmocr",
  version: "v1",
  inputs: [{ name: "data", type: PartType.IMAGE, required: true, maxBytes: 4n }],
  outputs: [{ name: "boxes", type: PartType.TEXT, attributes: { format: "json", encoding: "utf8" } }],
});
const data = { name: "data", type: PartType.IMAGE, data: new Uint8Array(4) };
const check = (request: Parameters<typeof create<typeof InferRequestSchema>>[1]): InferRequest =>
  checkRequest(definition, create(InferRequestSchema, request), () => "new sid");

describe("checkRequest()", () => {
  test("fills the id, the version and every output with its default attributes", () => {
    const request = check({ service: "mmocr", parts: [data] });
    expect(request.sid).toBe("new sid");
    expect(request.version).toBe("v1");
    expect(request.expects).toMatchObject([{ name: "boxes", attributes: { format: "json", encoding: "utf8" } }]);
  });

  test("puts the caller's attributes before the defaults", () => {
    const request = check({ sid: "s", parts: [data], expects: [{ name: "boxes", attributes: { format: "plain" } }] });
    expect(request.sid).toBe("s");
    expect(request.expects[0]?.attributes).toEqual({ format: "plain", encoding: "utf8" });
  });

  test("names what is missing, unknown, doubled, of the wrong type or too large", () => {
    const text = { ...data, type: PartType.TEXT };
    const large = { ...data, data: new Uint8Array(5) };
    expect(() => check({})).toThrow("parts: 'data' is required");
    expect(() => check({ parts: [text] })).toThrow("parts: 'data' must be of type image, got text");
    expect(() => check({ parts: [large] })).toThrow("parts: 'data' has 5 bytes, more than 4");
    expect(() => check({ parts: [data, data] })).toThrow("parts: 'data' stands twice");
    expect(() => check({ parts: [data, { name: "more" }] })).toThrow("parts: 'more' is not declared, expected data");
    expect(() => check({ parts: [data], priority: 101 })).toThrow("priority: must be from -100 to 100, got 101");
    expect(() => check({ parts: [data], expects: [{ name: "x" }] })).toThrow("expects: 'x' is not declared");
  });
});

describe("finishParts()", () => {
  const request = check({ parts: [data], expects: [{ name: "boxes", attributes: { format: "plain" } }] });
  const part = (name: string, type: PartType) => [
    {
      $typeName: "athena.v1.Part" as const,
      name,
      type,
      attributes: { format: "json", rate: "1" },
      data: new Uint8Array(),
    },
  ];

  test("lays the caller's attributes over the engine's, and the place in the answer over both", () => {
    const [boxes] = finishParts(request, part("boxes", PartType.TEXT), 0, 3);
    expect(boxes?.attributes).toEqual({ format: "plain", encoding: "utf8", rate: "1", seq: "0", status: "3" });
  });

  test("refuses an output that the service does not declare", () => {
    expect(() => finishParts(request, part("other", PartType.TEXT), 0, 3)).toThrow("'other' of type text");
    expect(() => finishParts(request, part("boxes", PartType.IMAGE), 0, 3)).toThrow("'boxes' of type image");
  });
});
