import { configurationFrom, metadataFrom, serverMetadata } from "../../adapter/oip/metadata.ts";
import type { CompiledService } from "../../schema/compile.ts";
import type { DescribedService, JsonObject } from "../api-part.ts";
import { errorRefsFor } from "../errors.ts";
import { schemaRef } from "../schema.ts";
import { openInferenceErrors } from "./error-form.ts";

/** Beside the services' own tags, which their calls have: a name that no service can have. */
export const openInferenceTag = {
  name: "Open Inference Protocol",
  description: "What server and models say of themselves.",
};

/** The statuses that every page may have which is for apps that admission knows. */
const usualErrors = [401, 403, 404, 429, 503];

/** The pages about the server. Loading and unloading are left out: they are for operators. */
export const serverPages: Readonly<Record<string, JsonObject>> = {
  "/v2": {
    get: pageOf("server_metadata", "The server and its extensions", schemaRef("ServerMetadata"), {
      examples: { server: { value: serverMetadata } },
    }),
  },
  "/v2/health/live": { get: healthOf("server_live", "Whether the server runs", "ServerLive", []) },
  "/v2/health/ready": { get: healthOf("server_ready", "Whether every model can be called", "ServerReady", [503]) },
  "/v2/models": { get: pageOf("list_models", "The models' names", schemaRef("ModelList")) },
  "/v2/models/stats": { get: pageOf("all_statistics", "The statistics of every model", schemaRef("ModelStatistics")) },
  "/v2/repository/index": { post: indexOperation() },
};

/** The pages about these models, which differ by a name in their paths alone. */
export function modelPages(models: readonly DescribedService[]): Readonly<Record<string, JsonObject>> {
  const parameters = [{ name: "model", in: "path", required: true, schema: { enum: models.map(({ id }) => id) } }];
  const examplesOf = (from: (service: CompiledService) => unknown) => ({
    examples: Object.fromEntries(models.map(({ id, compiled }) => [id, { value: from(compiled) }])),
  });
  const pages = {
    "": pageOf("model_metadata", "A model's inputs and outputs", schemaRef("ModelMetadata"), examplesOf(metadataFrom)),
    "/ready": pageOf("model_ready", "Whether a model can be called", schemaRef("ModelReady")),
    "/config": pageOf("model_configuration", "A model's rows, inputs and outputs", schemaRef("ModelConfiguration"), {
      ...examplesOf(configurationFrom),
    }),
    "/stats": pageOf("model_statistics", "A model's statistics", schemaRef("ModelStatistics")),
  };
  return Object.fromEntries(
    Object.entries(pages).map(([end, page]) => {
      const description = `Of one version: \`/v2/models/{model}/versions/{version}${end}\`.`;
      return [`/v2/models/{model}${end}`, { get: { ...page, description, parameters } }];
    }),
  );
}

function pageOf(operationId: string, summary: string, schema: JsonObject, more: JsonObject = {}): JsonObject {
  return {
    operationId,
    tags: [openInferenceTag.name],
    summary,
    responses: {
      "200": { description: summary, content: { "application/json": { schema, ...more } } },
      ...errorRefsFor(openInferenceErrors, usualErrors),
    },
  };
}

function healthOf(operationId: string, summary: string, schema: string, others: readonly number[]): JsonObject {
  const content = { "application/json": { schema: schemaRef(schema) } };
  const responses = [200, ...others].map((status) => [String(status), { description: summary, content }]);
  // For everybody: a probe has no key.
  return { ...pageOf(operationId, summary, {}), security: [], responses: Object.fromEntries(responses) };
}

function indexOperation(): JsonObject {
  const page = pageOf("repository_index", "What is known of every model", schemaRef("RepositoryIndex"));
  return {
    ...page,
    requestBody: {
      content: {
        "application/json": {
          schema: {
            type: "object",
            properties: { ready: { type: "boolean", description: "Only of those that can be called." } },
          },
          examples: { ready: { value: { ready: true } } },
        },
      },
    },
    responses: {
      ...(page.responses as JsonObject),
      ...errorRefsFor(openInferenceErrors, [400, 413, 504]),
    },
  };
}

const text = { type: "string" };
const texts = { type: "array", items: text };
const flag = { type: "boolean" };
const count = { type: "integer", minimum: 0 };

const tensors = {
  type: "array",
  items: objectOf({ name: text, datatype: text, shape: { type: "array", items: { type: "integer", minimum: -1 } } }),
};
const configured = {
  type: "array",
  items: {
    type: "object",
    properties: {
      name: text,
      data_type: text,
      dims: { type: "array", items: { type: "integer", minimum: -1 } },
      optional: flag,
    },
    required: ["name", "data_type", "dims"],
  },
};
const durations = [
  "success",
  "fail",
  "queue",
  "compute_input",
  "compute_infer",
  "compute_output",
  "cache_hit",
  "cache_miss",
];
const statistic = objectOf({
  name: text,
  version: text,
  last_inference: { type: "number", description: "Milliseconds since 1970." },
  inference_count: count,
  execution_count: count,
  inference_stats: objectOf(
    Object.fromEntries(durations.map((name) => [name, objectOf({ count, ns: { type: "number", minimum: 0 } })])),
  ),
});

/** The schemas of the pages. */
export const pageSchemas: Readonly<Record<string, JsonObject>> = {
  ServerMetadata: objectOf({ name: text, version: text, extensions: texts }),
  ServerLive: objectOf({ live: flag }),
  ServerReady: objectOf({ ready: flag, live: flag }),
  ModelList: objectOf({ models: texts }),
  ModelMetadata: objectOf({ name: text, versions: texts, platform: text, inputs: tensors, outputs: tensors }),
  ModelReady: objectOf({ name: text, ready: flag }),
  ModelConfiguration: {
    type: "object",
    properties: {
      name: text,
      platform: text,
      max_batch_size: count,
      model_transaction_policy: objectOf({ decoupled: flag }),
      input: configured,
      output: configured,
    },
    required: ["name", "platform", "max_batch_size", "input", "output"],
  },
  ModelStatistics: objectOf({ model_stats: { type: "array", items: statistic } }),
  RepositoryIndex: {
    type: "array",
    items: objectOf({ name: text, version: text, state: { enum: ["READY", "UNAVAILABLE"] }, reason: text }),
  },
};

function objectOf(properties: Readonly<Record<string, unknown>>): JsonObject {
  return { type: "object", properties, required: Object.keys(properties) };
}
