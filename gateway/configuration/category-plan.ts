import type { CategoryConfig } from "../../config/gateway.ts";
import { type Category, type Condition, textOf } from "../router/category.ts";
import { requestPathFrom } from "../router/request-path.ts";
import type { SchemaFile } from "../schema/predecessor/schema-file.ts";
import { type ExactRoute, exactRoutesFrom } from "./service-plan.ts";

/** One category as it is to be served. */
export interface CategoryPlan extends Category {
  /** The ids that paths may end in: its own, unless it is found by its first paths alone. */
  readonly ids: readonly string[];
  readonly routes: readonly ExactRoute[];
  /** Those of its schema file. */
  readonly fileRoutes: readonly ExactRoute[];
  /** Paths that come before every service's id. */
  readonly firstPaths: readonly string[];
}

/** A category's mistake: the place of it in the category, and what. */
export type NoteMistake = (path: readonly (string | number)[], message: string) => void;

/** The plan of a category of gateway.yaml. */
export function planCategory(config: CategoryConfig, note: NoteMistake): CategoryPlan {
  return {
    id: config.id,
    ids: [config.id],
    routes: exactRoutesFrom(config.routes, config.hosts),
    fileRoutes: [],
    firstPaths: [],
    routeKeys: config.routeKeys,
    rules: config.rules.map(({ service, priority, when }, index) => ({
      service,
      priority,
      conditions: conditionsFrom(when, (path, message) => note(["rules", index, "when", ...path], message)),
    })),
  };
}

/** The plan of a category of a schema file. One with companion routes is found by these alone. */
export function planFileCategory(file: SchemaFile, note: NoteMistake): CategoryPlan {
  const isCompanion = file.companionRoutes.length > 0;
  return {
    id: file.serviceId,
    ids: isCompanion ? [] : [file.serviceId],
    routes: [],
    fileRoutes: isCompanion ? [] : exactRoutesFrom(file.routes, file.hosts),
    firstPaths: file.companionRoutes,
    routeKeys: file.routeKeys,
    rules: file.subRoutes.map(({ service, priority, rules }, index) => ({
      service,
      priority,
      conditions: conditionsFrom(rules, (path, message) =>
        note(["meta", "subRoute", index, "rules", ...path], message),
      ),
    })),
  };
}

function conditionsFrom(when: Readonly<Record<string, unknown>>, note: NoteMistake): readonly Condition[] {
  return Object.entries(when).flatMap(([text, value]) => {
    const path = requestPathFrom(text);
    if (path === undefined) {
      note([text], "expected a path to one value, such as $.parameter.ocr.lang");
      return [];
    }
    const texts = [value].flat().map(textOf);
    if (texts.includes(undefined)) note([text], "expected a text, a number, true or false, or a list of these");
    return [{ path, allowed: new Set(texts.filter((allowed) => allowed !== undefined)) }];
  });
}
