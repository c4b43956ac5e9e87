import type { ApiDescriber, ApiPart, DescribedCategory, DescribedService, JsonObject } from "./api-part.ts";

/** What documents are made of. */
export interface DocumentSources {
  readonly describers: readonly ApiDescriber[];
  readonly services: readonly DescribedService[];
  readonly categories: readonly DescribedCategory[];
  /** Whether callers must say who they are. */
  readonly isProtected: boolean;
}

/** The OpenAPI 3.1 document of everything that a gateway serves. */
export function gatewayDocument(sources: DocumentSources): JsonObject {
  const { describers, services, categories } = sources;
  const parts = describers.flatMap((describer) => [
    ...services.map((service) => describer.service?.(service)),
    ...categories.map((category) => describer.category?.(category)),
  ]);
  const info = { title: "Athena Serving", version: "v1", description: "Every service of this gateway." };
  return documentFrom(info, [...tagsOf(sources)], parts, sources);
}

/** The document of one service or category; undefined where none is called so. */
export function serviceDocument(id: string, sources: DocumentSources): JsonObject | undefined {
  const { describers } = sources;
  const service = sources.services.find(({ plan }) => plan.ids.includes(id));
  const category = sources.categories.find(({ plan }) => plan.id === id);
  if (service !== undefined) {
    const { definition } = service.compiled;
    const info = { title: service.id, version: definition.version || "v1", description: definition.description };
    return documentFrom(
      info,
      [{ name: id }],
      describers.map((describer) => describer.service?.(service)),
      sources,
    );
  }
  if (category === undefined) return undefined;
  const parts = describers.map((describer) => describer.category?.(category));
  return documentFrom({ title: id, version: "v1" }, [{ name: id }], parts, sources);
}

function* tagsOf({ services, categories }: DocumentSources): Generator<JsonObject> {
  for (const { id, compiled } of services) yield { name: id, description: compiled.definition.description };
  for (const { plan } of categories) yield { name: plan.id };
}

function documentFrom(
  info: JsonObject,
  tags: readonly JsonObject[],
  parts: readonly (ApiPart | undefined)[],
  { describers, isProtected }: DocumentSources,
): JsonObject {
  const all = [...parts, ...describers.map((describer) => describer.common?.())].filter((part) => part !== undefined);
  const merged = <Key extends "paths" | "schemas" | "responses">(key: Key): JsonObject =>
    Object.assign({}, ...all.map((part) => part[key]));
  return {
    openapi: "3.1.1",
    info: { ...info, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "/" }],
    tags,
    ...(isProtected ? { security: [{ bearer: [] }] } : {}),
    paths: merged("paths"),
    components: {
      schemas: merged("schemas"),
      responses: merged("responses"),
      ...(isProtected ? { securitySchemes: { bearer: { type: "http", scheme: "bearer" } } } : {}),
    },
  };
}
