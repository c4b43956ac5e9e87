import type { JsonObject } from "../api-part.ts";

/** What can be asked of one model by POST at a path of its own. */
export interface ModelOperation {
  readonly operation: JsonObject;
  /** By their names under `#/components/schemas`. */
  readonly schemas: Readonly<Record<string, unknown>>;
}
