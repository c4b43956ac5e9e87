import type { ApiDescriber, ApiPart, DocumentScope, JsonObject } from "./api-part.ts";
import { securityRequirements, securitySchemes } from "./security.ts";

/** What documents are made of. */
export interface DocumentSources extends DocumentScope {
  readonly describers: readonly ApiDescriber[];
  /** Whether callers must say who they are. */
  readonly isProtected: boolean;
}

/** The OpenAPI 3.1 document of everything that a gateway serves. */
export function gatewayDocument(sources: DocumentSources): JsonObject {
  const { describers } = sources;
  const info = { title: "Athena Serving", version: "v1", description: "Every service of this gateway." };
  const own = describers.map((describer) => describer.gateway?.());
  return documentFrom(info, sources, own, sources);
}

/** The document of one service or category; undefined where none is called so. */
export function serviceDocument(id: string, sources: DocumentSources): JsonObject | undefined {
  const services = sources.services.filter(({ plan }) => plan.ids.includes(id)).slice(0, 1);
  const isService = services.length > 0;
  const categories = isService ? [] : sources.categories.filter(({ plan }) => plan.id === id).slice(0, 1);
  const [service] = services;
  if (service !== undefined) {
    const { version, description } = service.compiled.definition;
    return documentFrom(
      { title: service.id, version: version || "v1", description },
      { services, categories },
      [],
      sources,
    );
  }
  return categories.length === 0
    ? undefined
    : documentFrom({ title: id, version: "v1" }, { services, categories }, [], sources);
}

function* tagsOf({ services, categories }: DocumentScope): Generator<JsonObject> {
  for (const { id, compiled } of services) yield { name: id, description: compiled.definition.description };
  for (const { plan } of categories) yield { name: plan.id };
}

function documentFrom(
  info: JsonObject,
  scope: DocumentScope,
  own: readonly (ApiPart | undefined)[],
  { describers, isProtected }: DocumentSources,
): JsonObject {
  const { services, categories } = scope;
  const parts = describers.flatMap((describer) => [
    ...services.map((service) => describer.service?.(service)),
    ...categories.map((category) => describer.category?.(category)),
  ]);
  const common = describers.map((describer) => describer.common?.(scope));
  const all = [...parts, ...own, ...common].filter((part) => part !== undefined);
  const merged = <Key extends "paths" | "schemas" | "responses">(key: Key): JsonObject =>
    Object.assign({}, ...all.map((part) => part[key]));
  return {
    openapi: "3.1.1",
    info: { ...info, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    servers: [{ url: "/" }],
    // A service's calls stand together, whatever their protocol; what is asked of no service, by its protocol.
    tags: [...tagsOf(scope), ...all.flatMap(({ tags = [] }) => tags)],
    ...(isProtected ? { security: securityRequirements } : {}),
    paths: merged("paths"),
    components: {
      schemas: merged("schemas"),
      responses: merged("responses"),
      ...(isProtected ? { securitySchemes } : {}),
    },
  };
}
