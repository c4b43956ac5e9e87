import type { CompiledService } from "../../schema/compile.ts";
import { readDefinedSchema } from "../../schema/definition.ts";
import { isRecord } from "../../schema/dialect.ts";
import type { DescribedService, JsonObject } from "../api-part.ts";
import { errorRefs } from "../errors.ts";
import { sidHeader } from "../response-schema.ts";
import { placeSchema, schemaRef } from "../schema.ts";
import { openInferenceErrors } from "./error-form.ts";
import { binaryExample, jsonExample } from "./example.ts";
import type { ModelOperation } from "./model-operation.ts";
import { inputTensorSchema, outputTensorSchema, wishSchema } from "./tensor-schema.ts";

/** Inference of one model; undefined where it answers no once-calls. */
export function inferOperation({ id, compiled, plan }: DescribedService): ModelOperation | undefined {
  const { definition, version } = compiled;
  if (!definition.once) return undefined;
  const names = { request: `${id}.ModelRequest`, answer: `${id}.ModelAnswer` };
  const json = jsonExample(compiled);
  const binary = binaryExample(compiled);
  const operation = {
    operationId: `infer_${id}`,
    tags: [id],
    summary: `Calls ${id} over the Open Inference Protocol`,
    description: `Also at \`/v2/models/${id}/versions/${version || "{version}"}/infer\`. The body may be compressed with gzip or deflate.`,
    parameters: [lengthHeader],
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: schemaRef(names.request),
          ...(json === undefined ? {} : { examples: { request: { value: json } } }),
        },
        "application/octet-stream": {
          schema: { description: binaryBody(compiled) },
          ...(binary === undefined ? {} : { examples: { request: binaryReference(id, binary.headerLength) } }),
        },
      },
    },
    responses: { "200": answer(schemaRef(names.answer)), ...errorRefs(openInferenceErrors, plan.codeMap) },
  };
  return {
    operation,
    schemas: { [names.request]: requestSchema(compiled, names.request), [names.answer]: answerSchema(compiled) },
  };
}

const lengthHeader = {
  name: "Inference-Header-Content-Length",
  in: "header",
  description: "How many bytes of a body with binary data are JSON; 0: the body is the data of the only input.",
  schema: { type: "integer", minimum: 0 },
};

function binaryBody({ inputs }: CompiledService): string {
  const behind =
    "JSON as in `application/json`, and behind it the data of the inputs that have `binary_data_size`, in order.";
  return inputs.length === 1 ? `${behind} With the length 0 the data of the only input alone.` : behind;
}

/** Data that JSON cannot hold has an address of its own, which tells its header too. */
function binaryReference(id: string, headerLength: number): JsonObject {
  const description = `With \`Inference-Header-Content-Length: ${headerLength}\`, which its address tells too.`;
  return { description, externalValue: `/openapi/${id}.bin` };
}

function requestSchema(service: CompiledService, name: string): JsonObject {
  const at = (path: string) => `#/components/schemas/${name}/properties/${path}`;
  const { inputs, outputs } = service.definition;
  const required = inputs.filter((input) => input.required).length;
  const given = inputs.map((input, index) => inputTensorSchema(service, input, at(`inputs/items/anyOf/${index}`)));
  const wishes = outputs.map((output, index) => wishSchema(service, output, at(`outputs/items/anyOf/${index}`)));
  return {
    type: "object",
    properties: {
      id: { type: "string", description: "Comes back in the answer." },
      parameters: parametersSchema(service, at("parameters")),
      inputs: { type: "array", ...itemsOf(given), minItems: required, maxItems: inputs.length },
      outputs: { type: "array", ...itemsOf(wishes), description: "Those that are wanted; without it all of them." },
    },
    required: ["inputs"],
  };
}

/** The schema of a request's parameters, as it stands in a document at `pointer`. */
export function parametersSchema({ id, definition }: CompiledService, pointer: string): unknown {
  const declared = readDefinedSchema(id, "parameters_schema", definition.parametersSchema) ?? { type: "object" };
  const placed = placeSchema(declared, pointer);
  if (!isRecord(placed)) return placed;
  const own = {
    priority: { type: "integer", minimum: 0, description: "1 is first, 0 as usual." },
    timeout: { type: "integer", minimum: 0, description: "Microseconds that the caller waits; 0: as long as may be." },
    binary_data_output: { type: "boolean", description: "Whether data of outputs comes behind the JSON." },
  };
  return { ...placed, properties: { ...(isRecord(placed.properties) ? placed.properties : {}), ...own } };
}

function answerSchema(service: CompiledService): JsonObject {
  const outputs = service.definition.outputs.map((output) => outputTensorSchema(service, output));
  return {
    type: "object",
    properties: {
      model_name: { const: service.id },
      model_version: { type: "string" },
      id: { type: "string", description: "As the request had it." },
      outputs: { type: "array", ...itemsOf(outputs) },
    },
    required: ["model_name", "outputs"],
  };
}

/** A choice must have something to choose from. */
function itemsOf(schemas: readonly JsonObject[]): JsonObject {
  return schemas.length === 0 ? { maxItems: 0 } : { items: { anyOf: schemas } };
}

function answer(schema: JsonObject): JsonObject {
  const length = { description: "How many bytes are JSON, where binary data follows.", schema: { type: "integer" } };
  return {
    description: "The outputs; with binary data where that was asked for.",
    headers: { "athena-sid": sidHeader, "Inference-Header-Content-Length": length },
    content: { "application/json": { schema }, "application/octet-stream": {} },
  };
}
