import { create, toJson } from "@bufbuild/protobuf";
import { type InferRequest, InferRequestSchema } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { decodeEnvelope } from "../../envelope/decode.ts";
import { envelopeFromRequest } from "../../envelope/from-message.ts";
import type { CompiledService } from "../../schema/compile.ts";
import { isRecord } from "../../schema/dialect.ts";
import { textFromValue } from "../../schema/text-from-value.ts";
import { validate } from "../../schema/validate.ts";
import { accepts } from "../accepts.ts";
import { type ExampleRequest, exampleRequest } from "../example.ts";

/**
 * A service's example as a message in JSON, checked as callers' messages are; undefined where none could be made, as for
 * parameters that have no text of their own.
 */
export function exampleMessage(service: CompiledService): unknown {
  const example = exampleRequest(service);
  if (example === undefined) return undefined;
  // A status says nothing in a message, but a service may ask for it.
  const messages = [false, true].map((hasStatus) => messageFrom(service.id, example, hasStatus));
  const message = messages.find((candidate) => isAccepted(service, candidate));
  return message && toJson(InferRequestSchema, message);
}

function messageFrom(
  service: string,
  { header, parameter, payload }: ExampleRequest,
  hasStatus: boolean,
): InferRequest {
  // One set of parameters, whatever a schema file calls it.
  const [parameters] = Object.values(parameter);
  const { payload: lifted } = decodeEnvelope(JSON.stringify({ payload }));
  const parts = lifted.map(({ attributes, ...part }) => ({ ...part, attributes: textsOf(attributes, hasStatus) }));
  return create(InferRequestSchema, {
    service,
    headers: textsOf(header, hasStatus),
    parameters: textsOf(isRecord(parameters) ? parameters : {}, true),
    parts,
  });
}

function textsOf({ status, ...rest }: Readonly<Record<string, unknown>>, hasStatus: boolean): Record<string, string> {
  const values = hasStatus && status !== undefined ? { status, ...rest } : rest;
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, textFromValue(value)]));
}

function isAccepted(service: CompiledService, message: InferRequest): boolean {
  return accepts(() => validate(service, envelopeFromRequest(message, service.id), "example"));
}
