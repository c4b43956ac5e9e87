import { create, toJson } from "@bufbuild/protobuf";
import { type InferRequest, InferRequestSchema } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { decodeEnvelope } from "../../envelope/decode.ts";
import { envelopeFromRequest } from "../../envelope/from-message.ts";
import type { CompiledService } from "../../schema/compile.ts";
import { isRecord } from "../../schema/dialect.ts";
import { textFromValue } from "../../schema/text-from-value.ts";
import { validate } from "../../schema/validate.ts";
import { type ExampleRequest, exampleRequest } from "../example.ts";

/**
 * A service's example as a message in JSON, checked as callers' messages are; undefined where none could be made, as for
 * parameters that have no text of their own.
 */
export function exampleMessage(service: CompiledService): unknown {
  const example = exampleRequest(service);
  if (example === undefined) return undefined;
  const message = messageFrom(service.id, example);
  return isAccepted(service, message) ? toJson(InferRequestSchema, message) : undefined;
}

function messageFrom(service: string, example: ExampleRequest): InferRequest {
  // One set of parameters, whatever a schema file calls it.
  const [parameters] = Object.values(example.parameter);
  const { payload } = decodeEnvelope(JSON.stringify(example));
  const parts = payload.map(({ name, type, data, attributes }) => ({
    name,
    type,
    data,
    attributes: textsOf(attributes),
  }));
  const values = isRecord(parameters) ? parameters : {};
  return create(InferRequestSchema, { service, headers: textsOf(example.header), parameters: textsOf(values), parts });
}

function textsOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, textFromValue(value)]));
}

function isAccepted(service: CompiledService, message: InferRequest): boolean {
  try {
    validate(service, envelopeFromRequest(message, service.id), "example");
    return true;
  } catch {
    return false;
  }
}
