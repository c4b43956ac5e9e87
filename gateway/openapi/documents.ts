import type { ServedConfiguration } from "../service-set.ts";
import type { ApiDescriber, DescribedCategory, DescribedService } from "./api-part.ts";
import { connectDescriber } from "./connect/describer.ts";
import { type DocumentSources, gatewayDocument, serviceDocument } from "./document.ts";
import { openInferenceDescriber } from "./oip/describer.ts";
import { type BinaryExample, binaryExample } from "./oip/example.ts";
import { unifiedDescriber } from "./unified.ts";

/** The OpenAPI documents of a gateway, as JSON. */
export interface Documents {
  gateway(): string;
  /** Of a service or category, by an id that paths may end in; undefined where none is called so. */
  service(id: string): string | undefined;
  /** The example of a service's request that no document can hold, as it is binary; undefined where there is none. */
  binary(id: string): BinaryExample | undefined;
}

/** One line for each protocol. */
const describers: readonly ApiDescriber[] = [unifiedDescriber, openInferenceDescriber, connectDescriber];

/**
 * Makes documents of what is served now. They are made anew when that has changed, or when a loader has told another
 * definition. Services that nothing is known of yet stand in none.
 */
export function createDocuments(served: () => ServedConfiguration, isProtected: boolean): Documents {
  let made = { of: undefined as DocumentSources | undefined, texts: new Map<string, string | undefined>() };
  const cached = (key: string, make: (sources: DocumentSources) => object | undefined): string | undefined => {
    const sources = { describers, ...describedBy(served()), isProtected };
    if (made.of === undefined || !isSame(made.of, sources)) made = { of: sources, texts: new Map() };
    // Ids come from callers: only those that are something's are kept.
    const document = made.texts.get(key);
    if (document !== undefined) return document;
    const text = JSON.stringify(make(sources));
    if (text !== undefined) made.texts.set(key, text);
    return text;
  };
  return {
    gateway: () => cached("", gatewayDocument) ?? "{}",
    service: (id) => cached(id, (sources) => serviceDocument(id, sources)),
    binary(id) {
      const service = describedBy(served()).services.find((described) => described.id === id);
      return service?.compiled.definition.once ? binaryExample(service.compiled) : undefined;
    },
  };
}

function describedBy({ services, categories }: ServedConfiguration): Pick<DocumentSources, "services" | "categories"> {
  const described = services.flatMap(({ plan, target }): DescribedService[] => {
    const compiled = target.compiled();
    return compiled === undefined ? [] : [{ id: target.id, compiled, plan }];
  });
  const byId = new Map(described.flatMap((service) => service.plan.ids.map((id) => [id, service] as const)));
  const find: DescribedCategory["find"] = (id) => byId.get(id);
  return { services: described, categories: categories.map((category) => ({ ...category, find })) };
}

function isSame(one: DocumentSources, other: DocumentSources): boolean {
  const services = one.services.every(({ plan, compiled }, index) => {
    const now = other.services[index];
    return now?.plan === plan && now.compiled === compiled;
  });
  const categories = one.categories.every(({ target }, index) => other.categories[index]?.target === target);
  const isAsMany = one.services.length === other.services.length && one.categories.length === other.categories.length;
  return services && categories && isAsMany;
}
