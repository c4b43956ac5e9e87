import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { type InferRequest, InferRequestSchema } from "../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../proto/gen/athena/v1/service_pb.ts";
import { envelopeFromParts, envelopeFromRequest } from "./envelope/from-message.ts";
import { compileService } from "./schema/compile.ts";
import { validate, validateChunk } from "./schema/validate.ts";

const service = compileService(
  create(ServiceDefinitionSchema, {
    id: "asr",
    version: "v1",
    inputs: [
      {
        name: "audio",
        type: PartType.AUDIO,
        required: true,
        attributesSchema: JSON.stringify({ sample_rate: { type: "integer", enum: [8000, 16000] } }),
      },
    ],
    outputs: [{ name: "text", type: PartType.TEXT, attributesSchema: JSON.stringify({ vad: { type: "boolean" } }) }],
    parametersSchema: JSON.stringify({ beam: { type: "integer", maximum: 9 } }),
    stream: true,
  }),
);
const part = { name: "audio", type: PartType.AUDIO, attributes: { sample_rate: "16000" }, data: new Uint8Array([1]) };

function checked(changes: Parameters<typeof create<typeof InferRequestSchema>>[1]): InferRequest {
  const request = create(InferRequestSchema, {
    headers: { app_id: "1", status: "0" },
    parameters: { beam: "4" },
    expects: [{ name: "text", type: PartType.TEXT, attributes: { vad: "true" } }],
    parts: [part],
    ...changes,
  });
  return validate(service, envelopeFromRequest(request, "asr"), "sid", { isOpening: true });
}

describe("a request that came as a message", () => {
  test("is checked by what its texts stand for, and goes on as the texts that it has", () => {
    expect(checked({})).toMatchObject({
      service: "asr",
      sid: "sid",
      headers: { app_id: "1", status: "0" },
      parameters: { beam: "4" },
      expects: [{ name: "text", attributes: { vad: "true" } }],
      parts: [{ name: "audio", attributes: { sample_rate: "16000" } }],
    });
    expect(checked({}).parts[0]?.data).toBe(part.data);
  });

  test("is refused with the field's name where a text does not stand for what is asked for", () => {
    const wrong = { ...part, attributes: { sample_rate: "44100" } };
    expect(() => checked({ parts: [wrong] })).toThrow("'$.payload.audio.sample_rate' must be one of [8000, 16000]");
    expect(() => checked({ parameters: { beam: "many" } })).toThrow("'$.parameter.asr.beam' type must be integer");
    expect(() => checked({ parameters: { beam: "10" } })).toThrow("'$.parameter.asr.beam'");
    expect(() => checked({ headers: { app_id: "1", status: "7" } })).toThrow("'$.header.status'");
    expect(() => checked({ expects: [{ name: "other" }] })).toThrow("'$.parameter.asr.other'");
    expect(() => checked({ parts: [{ ...part, type: PartType.TEXT }] })).toThrow("'$.payload.audio.audio'");
  });

  test("keeps the resources and the priority that it names", () => {
    expect(checked({ resourceIds: [7, 9, 7], priority: -3 })).toMatchObject({ resourceIds: [7, 9], priority: -3 });
    expect(checked({})).toMatchObject({ resourceIds: [], priority: 0 });
    expect(() => checked({ priority: 101 })).toThrow("'priority' must be from -100 to 100, got 101");
  });

  test("has chunks that are checked in the same way", () => {
    const parts = create(InferRequestSchema, { parts: [part] }).parts;
    expect(validateChunk(service, envelopeFromParts(parts))).toEqual(parts);
    const wrong = create(InferRequestSchema, { parts: [{ ...part, name: "more" }] }).parts;
    expect(() => validateChunk(service, envelopeFromParts(wrong))).toThrow("'$.payload.more' unknown field");
  });
});
