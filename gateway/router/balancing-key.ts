import type { HashKeySource } from "../../config/gateway.ts";
import type { Call } from "../types.ts";

/**
 * The key by which a request belongs to an endpoint; undefined where the request has none. A JSON path leads into the
 * request as its protocol's decoder gave it.
 */
export function balancingKey(source: HashKeySource | undefined, call: Call, request: object): string | undefined {
  if (source === undefined) return undefined;
  if ("header" in source) return call.header(source.header) ?? undefined;
  if ("client" in source) return call.clientAddress;
  return valueAt(request, source.json);
}

/** The scalar at a path such as `$.header.uid`; undefined where there is none. */
function valueAt(request: object, path: string): string | undefined {
  let value: unknown = request;
  for (const name of path.split(".").slice(1)) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = Reflect.get(value, name);
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : undefined;
}
