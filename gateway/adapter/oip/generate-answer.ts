import { ServingError } from "../../../proto/errors.ts";
import type { InferResponse } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import type { CompiledService } from "../../schema/compile.ts";
import { type OutputTensor, resultFromResponse } from "./answer.ts";
import { generatedName } from "./generate-request.ts";
import { jsonFromData, jsonFromElements } from "./json-elements.ts";

/**
 * Writes an answer of `generate`, or one of `generate_stream`: each output by its name, a tensor of one element as a value,
 * any other as a flat array, and data that is neither tensor nor text as base64.
 *
 * @throws ServingError SCHEMA_VIOLATION for an output that JSON cannot hold.
 */
export function encodeGenerated(service: CompiledService, response: InferResponse, requestId: string): string {
  const wanted = { id: requestId, outputs: undefined, binaryOutputs: false };
  const { model, version, id, outputs } = resultFromResponse(service, response, wanted);
  const members = [
    ...(id === "" ? [] : [`"id":${JSON.stringify(id)}`]),
    `"model_name":${JSON.stringify(model)}`,
    `"model_version":${JSON.stringify(version)}`,
    ...outputs.map((output) => {
      const isText = service.outputByName.get(output.name)?.expected.type === PartType.TEXT;
      const name = generatedName(service, output.name, "output");
      return `${JSON.stringify(name)}:${output.isElement && !isText ? base64From(output) : jsonFrom(output)}`;
    }),
  ];
  return `{${members.join(",")}}`;
}

function base64From({ data }: OutputTensor): string {
  return JSON.stringify(data.toBase64());
}

function jsonFrom({ name, datatype, shape, data, isElement }: OutputTensor): string {
  const refuse = (what: string): ServingError =>
    new ServingError("SCHEMA_VIOLATION", `outputs.${name}: ${what}; ask for it with infer, as binary data`);
  const elements = isElement ? jsonFromElements([data], refuse) : jsonFromData(datatype, data, refuse);
  return shape.every((size) => size === 1) ? elements.slice(1, -1) : elements;
}
