import type { CategoryPlan } from "../configuration/category-plan.ts";
import type { ServicePlan } from "../configuration/service-plan.ts";
import type { ServiceTarget } from "../pipeline.ts";
import type { CompiledService } from "../schema/compile.ts";

/** A JSON object of a document. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A service as its documents see it. */
export interface DescribedService {
  /** The id by which callers reach it. */
  readonly id: string;
  readonly compiled: CompiledService;
  readonly plan: Pick<ServicePlan, "ids" | "routes" | "fileRoutes" | "codeMap">;
}

/** A category as its documents see it. */
export interface DescribedCategory {
  readonly plan: CategoryPlan;
  readonly target: ServiceTarget;
  /** Gives a service or category by its id, where it is there and described. */
  readonly find: (id: string) => DescribedService | undefined;
}

/** What one protocol adds to a document, in the words of OpenAPI. */
export interface ApiPart {
  /** Path items by their paths, which no two protocols share. */
  readonly paths: Readonly<Record<string, JsonObject>>;
  /** Schemas by their names under `#/components/schemas`. */
  readonly schemas?: Readonly<Record<string, unknown>>;
  /** Answers by their names under `#/components/responses`. */
  readonly responses?: Readonly<Record<string, JsonObject>>;
  /** Beside the tags of services, which every document has. */
  readonly tags?: readonly JsonObject[];
}

/** What a document is about: all that a gateway serves, or one service or category. */
export interface DocumentScope {
  readonly services: readonly DescribedService[];
  readonly categories: readonly DescribedCategory[];
}

/** Describes one protocol. An adapter has one of these, and `documents` one line for it. */
export interface ApiDescriber {
  /** What a service can be asked over the protocol; undefined where it cannot. */
  service?(service: DescribedService): ApiPart | undefined;
  category?(category: DescribedCategory): ApiPart | undefined;
  /** What the other parts refer to, and what is asked at paths that several services share. */
  common?(scope: DocumentScope): ApiPart | undefined;
  /** What is asked of the gateway itself, which documents of single services leave out. */
  gateway?(): ApiPart;
}
