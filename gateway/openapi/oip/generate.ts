import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { generatedName } from "../../adapter/oip/generate-request.ts";
import type { CompiledInput, CompiledService } from "../../schema/compile.ts";
import type { DescribedService, JsonObject } from "../api-part.ts";
import { errorRefs } from "../errors.ts";
import { schemaRef } from "../schema.ts";
import { openInferenceErrors } from "./error-form.ts";
import { generateExample } from "./example.ts";
import { parametersSchema } from "./infer.ts";
import type { ModelOperation } from "./model-operation.ts";

/** A text in, a text out; undefined for a model that answers no once-calls. */
export function generateOperation(model: DescribedService): ModelOperation | undefined {
  if (!model.compiled.definition.once) return undefined;
  return operationOf(model, `generate_${model.id}`, "Generates an answer of", "application/json");
}

/** The same with each result as it comes, as a server-sent event. */
export function generateStreamOperation(model: DescribedService): ModelOperation {
  return operationOf(model, `generate_stream_${model.id}`, "Generates a stream of answers of", "text/event-stream");
}

function operationOf(
  { id, compiled, plan }: DescribedService,
  operationId: string,
  summary: string,
  type: string,
): ModelOperation {
  const names = { request: `${id}.GenerateRequest`, answer: `${id}.Generated` };
  const example = generateExample(compiled);
  const content = {
    schema: schemaRef(names.request),
    ...(example === undefined ? {} : { examples: { request: { value: example } } }),
  };
  const isStream = type === "text/event-stream";
  const description = isStream
    ? "Events whose data is an answer; an error that comes after the first is an event as well."
    : "The answer.";
  const answer = isStream ? { type: "string" } : schemaRef(names.answer);
  return {
    operation: {
      operationId,
      tags: [id],
      summary: `${summary} ${id}`,
      requestBody: { required: true, content: { "application/json": content } },
      responses: {
        "200": { description, content: { [type]: { schema: answer } } },
        ...errorRefs(openInferenceErrors, plan.codeMap),
      },
    },
    schemas: { [names.request]: requestSchema(compiled, names.request), [names.answer]: answerSchema(compiled) },
  };
}

function requestSchema(service: CompiledService, name: string): JsonObject {
  const members = service.inputs.map((input) => [generatedName(service, input.name, "input"), memberSchema(input)]);
  const required = service.inputs.filter((input) => input.required);
  return {
    type: "object",
    properties: {
      id: { type: "string", description: "Comes back in the answer." },
      parameters: parametersSchema(service, `#/components/schemas/${name}/properties/parameters`),
      ...Object.fromEntries(members),
    },
    required: required.map((input) => generatedName(service, input.name, "input")),
  };
}

function memberSchema({ type, tensor }: CompiledInput): JsonObject {
  if (tensor !== undefined) {
    const shape = JSON.stringify(tensor.shape);
    return { description: `${tensor.datatype}, shape ${shape}: a value, or an array of values, flat or nested.` };
  }
  return type === PartType.TEXT
    ? { type: ["string", "object", "array"] }
    : { type: "string", contentEncoding: "base64" };
}

function answerSchema(service: CompiledService): JsonObject {
  const outputs = service.outputs.map(({ name, tensor, expected }) => {
    const data = expected.type === PartType.TEXT ? { type: "string" } : { type: "string", contentEncoding: "base64" };
    const schema = tensor === undefined ? data : { description: `${tensor.datatype}: a value, or a flat array.` };
    return [generatedName(service, name, "output"), schema];
  });
  const text = { type: "string" };
  return {
    type: "object",
    properties: { id: text, model_name: { const: service.id }, model_version: text, ...Object.fromEntries(outputs) },
    required: ["model_name"],
  };
}
