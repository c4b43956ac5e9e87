import { decodeEnvelope } from "../envelope/decode.ts";
import type { CategoryRule } from "../router/category.ts";
import { isRecord } from "../schema/dialect.ts";
import { validate } from "../schema/validate.ts";
import type { DescribedCategory, DescribedService, JsonObject } from "./api-part.ts";
import { type ExampleRequest, exampleRequest } from "./example.ts";

/** A request for each of a category's rules that leads to a described service, by that service's name. */
export function categoryExamples({ plan, target, find }: DescribedCategory): Readonly<Record<string, JsonObject>> {
  const examples: Record<string, JsonObject> = {};
  for (const rule of plan.rules) {
    const service = find(rule.service);
    const request = service && exampleRequest(service.compiled);
    if (service === undefined || request === undefined || Object.hasOwn(examples, service.id)) continue;
    const value = withConditions(renamed(request, plan.id, service), rule);
    if (isAccepted(value, target, service)) examples[service.id] = { summary: `Leads to ${service.id}`, value };
  }
  return examples;
}

/** Parameters under the category's name, as its callers know no other; a schema file has names of its own for them. */
function renamed(request: ExampleRequest, category: string, { compiled }: DescribedService): ExampleRequest {
  const { [compiled.id]: parameters, ...rest } = request.parameter;
  if (compiled.schemaFile !== undefined || parameters === undefined) return request;
  return { ...request, parameter: { ...rest, [category]: parameters } };
}

/** The request with the values that the rule asks for. */
function withConditions(request: ExampleRequest, { conditions }: CategoryRule): ExampleRequest {
  const copy: Record<string, unknown> & ExampleRequest = structuredClone({ ...request });
  for (const { path, allowed } of conditions) {
    const [value] = allowed;
    let current: Record<string, unknown> = copy;
    for (const name of path.slice(0, -1)) {
      const next = Object.hasOwn(current, name) ? current[name] : undefined;
      const inner: Record<string, unknown> = isRecord(next) ? next : {};
      current[name] = inner;
      current = inner;
    }
    current[path.at(-1) ?? ""] = value;
  }
  return copy;
}

function isAccepted(value: ExampleRequest, target: DescribedCategory["target"], service: DescribedService): boolean {
  try {
    const chosen = target.choose?.(decodeEnvelope(JSON.stringify(value)));
    if (chosen?.target.id !== service.id) return false;
    validate(service.compiled, chosen.request, "example");
    return true;
  } catch {
    return false;
  }
}
