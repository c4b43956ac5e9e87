import type { ApiDescriber, ApiPart, DescribedCategory, DescribedService, JsonObject } from "./api-part.ts";
import { categoryExamples } from "./category-example.ts";
import { errorRefs, errorResponses, unifiedErrors } from "./errors.ts";
import { exampleRequest } from "./example.ts";
import { requestSchema } from "./request-schema.ts";
import { errorSchema, responseSchema } from "./response-schema.ts";
import { schemaRef } from "./schema.ts";

/** The unified protocol over HTTP. */
export const unifiedDescriber: ApiDescriber = { service: describeService, category: describeCategory, common };

function describeService({ id, compiled, plan }: DescribedService): ApiPart | undefined {
  const { definition } = compiled;
  if (!definition.once) return undefined;
  const names = { request: `${id}.Request`, answer: `${id}.Answer` };
  const example = exampleRequest(compiled);
  const operation = {
    operationId: `call_${id}`,
    tags: [id],
    summary: `Calls ${id}`,
    description: [definition.description, ...otherPaths(id, plan)].filter((text) => text !== "").join("\n\n"),
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: schemaRef(names.request),
          ...(example === undefined ? {} : { examples: { request: { value: example } } }),
        },
      },
    },
    responses: {
      "200": answer("The service's answer.", schemaRef(names.answer)),
      ...errorRefs(unifiedErrors, plan.codeMap),
    },
  };
  return {
    paths: { [pathOf(id)]: { post: operation } },
    schemas: {
      [names.request]: requestSchema(compiled, `#/components/schemas/${names.request}`),
      [names.answer]: responseSchema(compiled),
    },
  };
}

function describeCategory(category: DescribedCategory): ApiPart {
  const { plan, find } = category;
  const reached = plan.rules.flatMap(({ service }) => find(service)?.compiled ?? []);
  const examples = categoryExamples(category);
  const ways = plan.rules.map(({ service, conditions }) => {
    const wanted = conditions.map(({ path, allowed }) => `\`$.${path.join(".")}\` is ${[...allowed].join(" or ")}`);
    return `- ${wanted.length === 0 ? "every request" : wanted.join(" and ")}: ${service}`;
  });
  const operation = {
    operationId: `call_${plan.id}`,
    tags: [plan.id],
    summary: `Calls the service that a request's values mean`,
    description: [
      `The first that holds, the highest priority first:`,
      ways.join("\n"),
      ...otherPaths(plan.id, plan),
    ].join("\n\n"),
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: { type: "object" },
          ...(Object.keys(examples).length === 0 ? {} : { examples }),
        },
      },
    },
    responses: {
      "200": answer(
        "The chosen service's answer.",
        reached.length === 0 ? { type: "object" } : { anyOf: reached.map(responseSchema) },
      ),
      ...errorRefs(unifiedErrors, new Map()),
    },
  };
  const [path = pathOf(plan.id)] = plan.firstPaths;
  return { paths: { [path]: { post: operation } } };
}

function common(): ApiPart {
  return { paths: {}, schemas: { [unifiedErrors.name]: errorSchema }, responses: errorResponses(unifiedErrors) };
}

/** The path under which the predecessor's clients know services. */
function pathOf(id: string): string {
  return `/v1/private/${id}`;
}

function otherPaths(
  id: string,
  plan: Pick<DescribedService["plan"], "ids" | "routes" | "fileRoutes">,
): readonly string[] {
  const paths = [
    ...plan.ids.filter((other) => other !== id).map((other) => `\`${pathOf(other)}\``),
    ...[...plan.routes, ...plan.fileRoutes].map(({ path, hosts }) =>
      hosts.length === 0 ? `\`${path}\`` : `\`${path}\` of ${hosts.join(", ")}`,
    ),
  ].filter((path) => path !== `\`${pathOf(id)}\``);
  return paths.length === 0 ? [] : [`Also at ${paths.join(", ")}.`];
}

function answer(description: string, schema: JsonObject): JsonObject {
  const sid = { description: "The id of the request.", schema: { type: "string" } };
  return { description, headers: { "athena-sid": sid }, content: { "application/json": { schema } } };
}
