import type { DescMethod } from "@bufbuild/protobuf";
import { InferenceService } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { CatalogService } from "../../../proto/gen/athena/v1/service_pb.ts";
import type { ApiDescriber, ApiPart, DocumentScope, JsonObject } from "../api-part.ts";
import { errorRefsFor, errorResponses } from "../errors.ts";
import { sidHeader } from "../response-schema.ts";
import { schemaRef } from "../schema.ts";
import { connectErrorSchema, connectErrors } from "./error-form.ts";
import { exampleMessage } from "./example.ts";
import { messageSchemas } from "./message-schema.ts";

/** The contract's calls that have one answer, by Connect in JSON. Those that stream have a framing that no document can show. */
export const connectDescriber: ApiDescriber = {
  common,
  gateway: () => ({
    ...shared([CatalogService.method.listServices]),
    paths: pathOf(CatalogService.method.listServices, {
      operationId: "list_services",
      summary: "The services that the app may call",
      requestBody: bodyOf(schemaRef(CatalogService.method.listServices.input.typeName), { all: { value: {} } }),
    }),
  }),
};

/** A name that no service can have. */
const tag = {
  name: "Connect protocol",
  description: "The gateway's own contract, athena.v1, in JSON. Any client of Connect, gRPC-Web or gRPC speaks it too.",
};

function common({ services, categories }: DocumentScope): ApiPart | undefined {
  const { infer } = InferenceService.method;
  const { describeService } = CatalogService.method;
  const once = services.filter(({ compiled }) => compiled.definition.once);
  const calls = once.map(({ id, compiled }) => [id, exampleMessage(compiled)] as const);
  const called = [...once, ...categories.map(({ plan }) => plan)].map(({ id }) => id);
  const asked = services.map(({ id }) => id);
  return {
    ...shared([infer, describeService]),
    tags: called.length + asked.length === 0 ? [] : [tag],
    paths: {
      ...(called.length === 0 ? {} : pathOf(infer, inferOperation(called, calls))),
      ...(asked.length === 0 ? {} : pathOf(describeService, describeOperation(asked))),
    },
  };
}

function inferOperation(called: readonly string[], calls: readonly (readonly [string, unknown])[]): JsonObject {
  const examples = calls.flatMap(([id, value]) => (value === undefined ? [] : [[id, { value }] as const]));
  return {
    operationId: "infer",
    summary: "Calls a service or category",
    description: "As in the unified protocol: `headers` are its header, `parameters` and `expects` its parameters.",
    requestBody: bodyOf(named(InferenceService.method.infer, called), Object.fromEntries(examples)),
  };
}

function describeOperation(asked: readonly string[]): JsonObject {
  const examples = Object.fromEntries(asked.map((service) => [service, { value: { service } }]));
  return {
    operationId: "describe_service",
    summary: "A service's definition, and how busy it is",
    requestBody: bodyOf(named(CatalogService.method.describeService, asked), examples),
  };
}

/** A method's request, of one of these services. */
function named({ input }: DescMethod, ids: readonly string[]): JsonObject {
  return { ...schemaRef(input.typeName), properties: { service: { enum: ids } }, required: ["service"] };
}

function bodyOf(schema: JsonObject, examples: JsonObject): JsonObject {
  const some = Object.keys(examples).length === 0 ? {} : { examples };
  return { required: true, content: { "application/json": { schema, ...some } } };
}

/** What every call may fail with; what is larger than allowed has the status of a share that is used up. */
const statuses = [400, 401, 403, 404, 429, 500, 501, 503, 504];

function pathOf(method: DescMethod, operation: JsonObject): Readonly<Record<string, JsonObject>> {
  const post = {
    ...operation,
    tags: [tag.name],
    parameters: [timeoutHeader],
    responses: {
      "200": {
        description: "The answer, in which protobuf's JSON leaves out what is empty, 0 or false.",
        ...(method.parent === InferenceService ? { headers: { "athena-sid": sidHeader } } : {}),
        content: { "application/json": { schema: schemaRef(method.output.typeName) } },
      },
      ...errorRefsFor(connectErrors, statuses),
      "415": { description: "The content type is of no protocol that is spoken here." },
    },
  };
  return { [`/${method.parent.typeName}/${method.name}`]: { post } };
}

const timeoutHeader = {
  name: "Connect-Timeout-Ms",
  in: "header",
  description: "How many milliseconds the caller waits.",
  schema: { type: "integer", minimum: 1, maximum: 9_999_999_999 },
};

function shared(methods: readonly DescMethod[]): Pick<ApiPart, "schemas" | "responses"> {
  return {
    schemas: {
      [connectErrors.name]: connectErrorSchema,
      ...messageSchemas(methods.flatMap(({ input, output }) => [input, output])),
    },
    responses: errorResponses(connectErrors),
  };
}
