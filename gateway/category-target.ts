import { ServingError } from "../proto/errors.ts";
import type { CategoryPlan } from "./configuration/category-plan.ts";
import type { Chosen, ServiceTarget } from "./pipeline.ts";
import { createCategory } from "./router/category.ts";
import type { Envelope } from "./types.ts";

/** Gives the target of a service or category by its id; undefined where there is none. */
export type FindTarget = (id: string) => ServiceTarget | undefined;

/**
 * The target of a category: it answers nothing itself, and chooses a service by a request's values, through other
 * categories where its rules lead to those.
 */
export function createCategoryTarget(plan: CategoryPlan, find: FindTarget): ServiceTarget {
  const pick = createCategory(plan);
  const refusal = (): ServingError => new ServingError("INTERNAL", `category '${plan.id}' answers nothing itself`);
  return {
    id: plan.id,
    version: "",
    // How long the answer may take is known when the service is: a body may come as slowly as the slowest would allow.
    get timeoutMs() {
      return Math.max(1, ...plan.rules.map(({ service }) => find(service)?.timeoutMs ?? 0));
    },
    get session() {
      const sessions = plan.rules.flatMap(({ service }) => find(service)?.session ?? []);
      if (sessions.length === 0) return unknown;
      return {
        idleTimeoutMs: Math.max(...sessions.map(({ idleTimeoutMs }) => idleTimeoutMs)),
        totalTimeoutMs: Math.max(...sessions.map(({ totalTimeoutMs }) => totalTimeoutMs)),
      };
    },
    hashKey: undefined,
    codeMap: undefined,
    compiled: () => undefined,
    choose(envelope): Chosen<Envelope> {
      const { service, routeKey } = pick(envelope);
      const target = find(service);
      if (target === undefined) throw new ServingError("SERVICE_NOT_FOUND", `sub service not found:${service}`);
      const request = renamed(envelope, plan.id, target);
      const { headers, ...chosen } = target.choose?.(request) ?? { target, request };
      return { ...chosen, headers: routeKey === "" ? headers : { routekey: routeKey, ...headers } };
    },
    dispatch: () => Promise.reject(refusal()),
    dispatchSession() {
      throw refusal();
    },
  };
}

/** Where no rule leads anywhere: such a session ends when its opening is read. */
const unknown = { idleTimeoutMs: 15_000, totalTimeoutMs: 15_000 };

/** Parameters that the caller put under the category's name, under the name by which the service knows its own. */
function renamed(envelope: Envelope, category: string, target: ServiceTarget): Envelope {
  const names = namesOf(target);
  const [name] = names;
  const { parameter } = envelope;
  if (name === undefined || names.includes(category) || !Object.hasOwn(parameter, category)) return envelope;
  if (Object.hasOwn(parameter, name)) return envelope;
  const { [category]: values, ...rest } = parameter;
  return { ...envelope, parameter: { ...rest, [name]: values } };
}

function namesOf(target: ServiceTarget): readonly string[] {
  const compiled = target.compiled();
  return compiled?.schemaFile?.capabilities.map(({ name }) => name) ?? [compiled?.id ?? target.id];
}
