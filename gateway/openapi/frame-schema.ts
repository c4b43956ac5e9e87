import type { CompiledService } from "../schema/compile.ts";
import { isRecord, type JsonSchema } from "../schema/dialect.ts";
import type { JsonObject } from "./api-part.ts";
import { payloadSchema, requestSchema } from "./request-schema.ts";
import { answerPayloadSchema, sidSchema } from "./response-schema.ts";

const numbers = {
  cid: { type: "string", maxLength: 128, description: "Which session it is of, with `stream_mode=multiplex`." },
  seq: { type: "integer", minimum: 1, description: "Its number in its session, with `resume=true`." },
  ack: { type: "integer", minimum: 0, description: "Up to which frame the sender has them, with `resume=true`." },
};

/** The schema of a service's frames to a caller: one result, or a word about the stream or session. */
export function frameSchema(service: CompiledService): JsonObject {
  return {
    type: "object",
    properties: {
      header: {
        type: "object",
        properties: {
          code: { type: "integer", description: "0, or why it has ended: then it is the last." },
          message: { type: "string", description: "success, or what is wrong." },
          sid: sidSchema,
          status: { enum: [0, 1, 2, 3], description: "0: first, 1: between, 2: last, 3: the only one." },
          ...numbers,
          resume_token: { type: "string", description: "What takes the session up again, with `resume=true`." },
        },
        required: ["code", "message", "sid", "status"],
      },
      payload: answerPayloadSchema(service),
    },
    required: ["header"],
  };
}

/** The schema of a caller's frames in a session with a service, as it stands in a document at `pointer`. */
export function sessionFrameSchema(service: CompiledService, pointer: string): JsonObject {
  return { anyOf: [openingSchema(service, `${pointer}/anyOf/0`), laterSchema(service, `${pointer}/anyOf/1`)] };
}

function openingSchema(service: CompiledService, pointer: string): JsonSchema {
  const schema = requestSchema(service, pointer, true);
  if (!isRecord(schema) || !isRecord(schema.properties) || !isRecord(schema.properties.header)) return schema;
  const { header } = schema.properties;
  const declared = isRecord(header.properties) ? header.properties : {};
  const properties = { ...schema.properties, header: { ...header, properties: { ...numbers, ...declared } } };
  return { ...schema, title: "The first frame", properties };
}

function laterSchema(service: CompiledService, pointer: string): JsonObject {
  const members = {
    status: { enum: [0, 1, 2, 3, null], description: "1, as without it: more comes; 2: the input ends." },
    ...numbers,
    sid: { type: "string", description: "The session that is taken up again." },
    resume_token: { type: "string", description: "As the gateway's first frame had it." },
  };
  return {
    title: "A later frame",
    type: "object",
    properties: {
      header: { type: "object", properties: members },
      parameter: { type: "object", description: "Has no effect." },
      payload: payloadSchema(service, `${pointer}/properties/payload`, true),
    },
    additionalProperties: false,
  };
}
