import { memberFromType } from "../envelope/data-member.ts";
import type { CompiledOutput, CompiledService } from "../schema/compile.ts";
import type { JsonSchema } from "../schema/dialect.ts";
import type { JsonObject } from "./api-part.ts";

/** The schema of a request's id. */
export const sidSchema: JsonObject = {
  type: "string",
  description: "The id of the request, as in the header athena-sid and in the logs.",
};

/** The header of answers that has the same. */
export const sidHeader: JsonObject = { description: "The id of the request.", schema: { type: "string" } };

/** The schema of a service's answers in the unified protocol. */
export function responseSchema(service: CompiledService): JsonSchema {
  return {
    type: "object",
    properties: {
      header: {
        type: "object",
        properties: { code: { const: 0 }, message: { const: "success" }, sid: sidSchema },
        required: ["code", "message", "sid"],
      },
      payload: answerPayloadSchema(service),
    },
    required: ["header"],
  };
}

/** The schema of what answers and frames to a caller hold. */
export function answerPayloadSchema(service: CompiledService): JsonObject {
  const outputs = service.outputs.map((output) => [output.name, outputSchema(service, output)]);
  return { type: "object", properties: Object.fromEntries(outputs) };
}

/** The schema of a failed request's answer in the unified protocol. */
export const errorSchema: JsonObject = {
  type: "object",
  properties: {
    header: {
      type: "object",
      properties: {
        code: { type: "integer", description: "What clients branch on." },
        message: { type: "string", description: "Names the field or the service." },
        sid: sidSchema,
      },
      required: ["code", "message", "sid"],
    },
  },
  required: ["header"],
};

function outputSchema(service: CompiledService, { name, expected }: CompiledOutput): JsonSchema {
  const types = service.outputTypes.get(name) ?? new Map();
  const attributes = [...new Set([...Object.keys(expected.attributes), ...types.keys()])].map((attribute) => [
    attribute,
    { type: types.get(attribute) ?? "string" },
  ]);
  const member = memberFromType(expected.type);
  return {
    type: "object",
    properties: {
      ...Object.fromEntries(attributes),
      seq: { type: "integer" },
      status: { type: "integer", enum: [0, 1, 2, 3] },
      [member]: { description: "Standard base64; where `format` is `json` and the data is JSON, that JSON." },
    },
    required: [member],
  };
}
