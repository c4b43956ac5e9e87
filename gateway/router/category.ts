import { ServingError } from "../../proto/errors.ts";
import type { Envelope } from "../types.ts";
import { type RequestPath, valueAt } from "./request-path.ts";

/** One way through a category: the service that it leads to, and what a request's values must be for it. */
export interface CategoryRule {
  readonly service: string;
  /** The higher is looked at first; rules of one priority in their order. */
  readonly priority: number;
  /** All must hold; none: every request. */
  readonly conditions: readonly Condition[];
}

/** A value of the request that must be one of some texts. */
export interface Condition {
  readonly path: RequestPath;
  readonly allowed: ReadonlySet<string>;
}

/** A virtual service that picks a real one from a request's values. */
export interface Category {
  readonly id: string;
  readonly rules: readonly CategoryRule[];
  /** The names of values, as conditions' paths end in them, that the engine is told, joined by "_". */
  readonly routeKeys: readonly string[];
}

/** The service that a request means. */
export interface CategoryChoice {
  readonly service: string;
  /** "" where the category has no route keys. */
  readonly routeKey: string;
}

/**
 * Compiles a category into a pure function of the envelope.
 *
 * The function throws ServingError CATEGORY_UNMATCHED for a request that no rule is for.
 */
export function createCategory({ id, rules, routeKeys }: Category): (envelope: Envelope) => CategoryChoice {
  const inOrder = rules.toSorted((a, b) => b.priority - a.priority);
  return (envelope) => {
    for (const { service, conditions } of inOrder) {
      if (conditions.every((condition) => holds(condition, envelope))) {
        return { service, routeKey: routeKeyOf(routeKeys, conditions, envelope) };
      }
    }
    throw new ServingError("CATEGORY_UNMATCHED", `category '${id}': no companion route found for the request's values`);
  };
}

function holds({ path, allowed }: Condition, envelope: Envelope): boolean {
  const text = textOf(valueAt(envelope, path));
  return text !== undefined && allowed.has(text);
}

function routeKeyOf(keys: readonly string[], conditions: readonly Condition[], envelope: Envelope): string {
  const values = keys.flatMap((key) => {
    const condition = conditions.find(({ path }) => path.at(-1) === key);
    return condition === undefined ? [] : [textOf(valueAt(envelope, condition.path)) ?? ""];
  });
  return values.join("_");
}

/** A scalar as conditions are written: 1 is "1", null is "". */
export function textOf(value: unknown): string | undefined {
  if (value === null) return "";
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined;
}

/** The ids of categories that lead back to themselves, each with those on the way: `a`, `b`, `a`. */
export function loopsOf(categories: readonly Category[]): readonly (readonly string[])[] {
  const byId = new Map(categories.map((category) => [category.id, category]));
  const loops: string[][] = [];
  const finished = new Set<string>();
  const walk = (id: string, way: readonly string[]): void => {
    const start = way.indexOf(id);
    if (start >= 0) loops.push([...way.slice(start), id]);
    if (start >= 0 || finished.has(id)) return;
    for (const { service } of byId.get(id)?.rules ?? []) walk(service, [...way, id]);
    finished.add(id);
  };
  for (const { id } of categories) walk(id, []);
  return loops;
}
