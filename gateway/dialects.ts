import { ServingError } from "../proto/errors.ts";
import type { InferRequest, InferResponse } from "../proto/gen/athena/v1/inference_pb.ts";
import type { ModelInferRequest, ModelInferResponse } from "../proto/gen/inference/grpc_service_pb.ts";
import { answerFromResponse } from "./adapter/oip/answer.ts";
import { decodeRestRequest, type RestBody } from "./adapter/oip/decode-request.ts";
import { encodeRestAnswer, type RestAnswer } from "./adapter/oip/encode-answer.ts";
import { encodeGenerated } from "./adapter/oip/generate-answer.ts";
import { decodeGenerateRequest, type GenerateRequest, tensorsFromGenerate } from "./adapter/oip/generate-request.ts";
import { encodeGrpcAnswer } from "./adapter/oip/grpc-answer.ts";
import { bytesOfRequest, decodeGrpcRequest } from "./adapter/oip/grpc-request.ts";
import { encodeAnswer } from "./envelope/encode.ts";
import { envelopeFromRequest } from "./envelope/from-message.ts";
import { envelopeFromTensors } from "./envelope/from-tensors.ts";
import type { Chosen, Dialect, ServiceTarget } from "./pipeline.ts";
import { validate, validateChunk } from "./schema/validate.ts";
import { validateTensorChunk, validateTensors } from "./schema/validate-tensors.ts";
import type { SessionDialect } from "./session-dialect.ts";
import type { Envelope, TensorRequest } from "./types.ts";

/** The unified protocol: an envelope of JSON, which `decode` reads. */
export function createUnified(decode: (body: string) => Envelope): Dialect<string, Envelope, string> {
  return {
    received: (body) => body,
    decode,
    choose: (category, envelope) => category.choose?.(envelope),
    validate: (service, envelope, sid) => validate(service, envelope, sid),
    encode: (service, response) => encodeAnswer(response, service.outputTypes),
  };
}

/** Sessions of envelopes, of the unified protocol and of the contract's own messages. */
export const unifiedSessions: SessionDialect<Envelope> = {
  bytes: bytesOfEnvelope,
  choose: (category, envelope) => category.choose?.(envelope),
  validate: (service, envelope, sid) => validate(service, envelope, sid),
  validateOpening: (service, envelope, sid) => validate(service, envelope, sid, { isOpening: true }),
  validateChunk,
};

/** The Open Inference Protocol over REST. */
export const openInferenceRest: Dialect<RestBody, TensorRequest, RestAnswer> = {
  received: (body) => body.received,
  decode: decodeRestRequest,
  choose: chooseByTensors,
  validate: (service, request, sid) => validateTensors(service, request, sid),
  encode: (service, response, request) => encodeRestAnswer(answerFromResponse(service, response, request)),
  timeoutMs: (request) => request.timeoutMs,
};

/** The same protocol's `generate`: one flat object of JSON in, one out. */
export const openInferenceGenerate: Dialect<RestBody, GenerateRequest, string> = {
  received: (body) => body.received,
  decode: decodeGenerateRequest,
  validate(service, request, sid) {
    if (service.definition.once) return validateTensors(service, tensorsFromGenerate(service, request), sid);
    const message = `service '${service.id}' gives its answer as a stream: use generate_stream`;
    throw new ServingError("UNSUPPORTED_OPERATION", message);
  },
  encode: (service, response, { id }) => encodeGenerated(service, response, id),
  timeoutMs: (request) => request.timeoutMs,
};

/** Its `generate_stream`. */
export const openInferenceGenerateStreams: SessionDialect<GenerateRequest> = {
  // Its body is charged.
  bytes: () => 0,
  validate: (service, request, sid) => validateTensors(service, tensorsFromGenerate(service, request), sid),
  validateOpening: (service, request, sid) => validateTensors(service, tensorsFromGenerate(service, request), sid),
  validateChunk: (service, request) => validateTensorChunk(service, tensorsFromGenerate(service, request)),
  timeoutMs: (request) => request.timeoutMs,
};

/** The Open Inference Protocol over gRPC. */
export const openInferenceGrpc: Dialect<ModelInferRequest, TensorRequest, ModelInferResponse> = {
  // A message's own bytes are not kept: a signature cannot cover them, and what is charged is its tensors.
  received: () => "",
  otherBytes: bytesOfRequest,
  decode: decodeGrpcRequest,
  choose: chooseByTensors,
  validate: (service, request, sid) => validateTensors(service, request, sid),
  encode: (service, response, request) => encodeGrpcAnswer(answerFromResponse(service, response, request)),
  timeoutMs: (request) => request.timeoutMs,
};

/** The contract's own messages, over Connect, gRPC-Web and gRPC. */
export const ownMessages: Dialect<InferRequest, Envelope, InferResponse> = {
  // As above.
  received: () => "",
  otherBytes: bytesOfEnvelope,
  decode: (request) => envelopeFromRequest(request, request.service),
  choose: (category, envelope) => category.choose?.(envelope),
  validate: (service, envelope, sid) => validate(service, envelope, sid),
  encode: (_, response) => response,
};

/** Sessions of the Open Inference Protocol whose one request is all of their input. */
export const openInferenceStreams: SessionDialect<TensorRequest> = {
  bytes: bytesOfRequest,
  choose: chooseByTensors,
  validate: (service, request, sid) => validateTensors(service, request, sid),
  validateOpening: (service, request, sid) => validateTensors(service, request, sid),
  validateChunk: validateTensorChunk,
  timeoutMs: (request) => request.timeoutMs,
};

/** Sessions of the Open Inference Protocol that are sequences of requests. */
export const openInferenceSequences: SessionDialect<TensorRequest> = {
  ...openInferenceStreams,
  validateOpening: (service, request, sid) => validateTensors(service, request, sid, { isOpening: true }),
};

/** A request goes to the service that a category chooses as it came. */
function chooseByTensors(category: ServiceTarget, request: TensorRequest): Chosen<TensorRequest> | undefined {
  const chosen = category.choose?.(envelopeFromTensors(category.id, request));
  return chosen === undefined ? undefined : { ...chosen, request };
}

function bytesOfEnvelope({ payload }: Envelope): number {
  return payload.reduce((sum, { data }) => sum + data.length, 0);
}
