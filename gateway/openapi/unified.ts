import type { JsonSchema } from "../schema/dialect.ts";
import type { ApiDescriber, ApiPart, DescribedCategory, DescribedService, JsonObject } from "./api-part.ts";
import { categoryExamples } from "./category-example.ts";
import { errorRefs, errorResponses, unifiedErrors } from "./errors.ts";
import { exampleRequest } from "./example.ts";
import { frameSchema, sessionFrameSchema } from "./frame-schema.ts";
import { requestSchema } from "./request-schema.ts";
import { errorSchema, responseSchema, sidHeader } from "./response-schema.ts";
import { schemaRef } from "./schema.ts";
import { exampleSession } from "./session-example.ts";
import { sessionOperation } from "./session-operation.ts";

/** The unified protocol: once-calls and streams over HTTP, sessions over WebSocket. */
export const unifiedDescriber: ApiDescriber = { service: describeService, category: describeCategory, common };

function describeService({ id, compiled, plan }: DescribedService): ApiPart | undefined {
  const { definition } = compiled;
  if (!definition.once && !definition.stream) return undefined;
  const names = { request: `${id}.Request`, answer: `${id}.Answer`, frame: `${id}.Frame`, sent: `${id}.SessionFrame` };
  const example = exampleRequest(compiled);
  const session = exampleSession(compiled);
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
      "200": answer("The service's answer", definition.once ? schemaRef(names.answer) : undefined, names.frame),
      ...errorRefs(unifiedErrors, plan.codeMap),
    },
  };
  const streamed = session === undefined ? `\`${names.sent}\`` : `\`${names.sent}\`, whose examples are a session`;
  const sent = definition.stream ? streamed : `\`${names.request}\`: one frame is the whole request`;
  const get = sessionOperation({ id, sent, received: names.frame, codeMap: plan.codeMap });
  const at = (name: string) => `#/components/schemas/${name}`;
  const sentSchema = () => ({
    ...sessionFrameSchema(compiled, at(names.sent)),
    ...(session === undefined ? {} : { examples: session }),
  });
  return {
    paths: { [pathOf(id)]: { get, post: operation } },
    schemas: {
      [names.request]: requestSchema(compiled, at(names.request)),
      [names.frame]: frameSchema(compiled),
      ...(definition.once ? { [names.answer]: responseSchema(compiled) } : {}),
      ...(definition.stream ? { [names.sent]: sentSchema() } : {}),
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
  const frame = `${plan.id}.Frame`;
  const once = reached.filter(({ definition }) => definition.once);
  const onlyStreams = once.length === 0 && reached.length > 0;
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
      "200": answer("The chosen service's answer", onlyStreams ? undefined : anyOf(once.map(responseSchema)), frame),
      ...errorRefs(unifiedErrors, new Map()),
    },
  };
  const [path = pathOf(plan.id)] = plan.firstPaths;
  const sent = "those of the service that the first one means";
  const get = sessionOperation({ id: plan.id, sent, received: frame, codeMap: new Map() });
  return { paths: { [path]: { get, post: operation } }, schemas: { [frame]: anyOf(reached.map(frameSchema)) } };
}

/** A choice must have something to choose from. */
function anyOf(schemas: readonly JsonSchema[]): JsonObject {
  return schemas.length === 0 ? { type: "object" } : { anyOf: schemas };
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

/** An answer as JSON where there is a schema of such, and as a stream of frames. */
function answer(description: string, schema: JsonObject | undefined, frame: string): JsonObject {
  const frames = { schema: schemaRef(frame) };
  return {
    description: `${description}; with \`Accept\` as a stream, in which the data of each event or each line is one frame.`,
    headers: { "athena-sid": sidHeader },
    content: {
      ...(schema === undefined ? {} : { "application/json": { schema } }),
      "text/event-stream": frames,
      "application/x-ndjson": frames,
    },
  };
}
