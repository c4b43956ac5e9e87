import type { ApiDescriber, ApiPart, DescribedService, DocumentScope, JsonObject } from "../api-part.ts";
import { errorResponses } from "../errors.ts";
import { openInferenceErrors } from "./error-form.ts";
import { generateOperation, generateStreamOperation } from "./generate.ts";
import { inferOperation } from "./infer.ts";
import type { ModelOperation } from "./model-operation.ts";
import { modelPages, openInferenceTag, pageSchemas, serverPages } from "./pages.ts";

/** What is asked of a model by POST, by what stands behind its path; undefined where the model cannot be asked. */
const operations: Readonly<Record<string, (model: DescribedService) => ModelOperation | undefined>> = {
  infer: inferOperation,
  generate: generateOperation,
  generate_stream: generateStreamOperation,
};

/** The Open Inference Protocol over REST. Categories are none of its models. */
export const openInferenceDescriber: ApiDescriber = {
  service(model) {
    const made = Object.entries(operations).flatMap(([name, describe]) => {
      const described = describe(model);
      return described === undefined ? [] : [{ path: `/v2/models/${model.id}/${name}`, ...described }];
    });
    return {
      paths: Object.fromEntries(made.map(({ path, operation }) => [path, { post: operation }])),
      schemas: Object.assign({}, ...made.map(({ schemas }) => schemas)),
    };
  },
  common,
  gateway: () => ({ paths: serverPages, ...shared() }),
};

function common({ services }: DocumentScope): ApiPart | undefined {
  return services.length === 0 ? undefined : { paths: modelPages(services), tags: [openInferenceTag], ...shared() };
}

function shared(): { readonly schemas: JsonObject; readonly responses: Readonly<Record<string, JsonObject>> } {
  const error = { type: "object", properties: { error: { type: "string" } }, required: ["error"] };
  return {
    schemas: { [openInferenceErrors.name]: error, ...pageSchemas },
    responses: errorResponses(openInferenceErrors),
  };
}
