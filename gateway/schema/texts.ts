import { ServingError } from "../../proto/errors.ts";
import { textFromValue } from "./text-from-value.ts";

/** Headers, parameters or attributes as engines receive them. */
export type Texts = Record<string, string>;

/** The values as texts. Assigning to `__proto__` would not keep the value, so that key counts as unknown. */
export function textsFrom(values: Readonly<Record<string, unknown>>, path: string, mistakes: string[]): Texts {
  const texts: Texts = {};
  for (const key in values) {
    if (key === "__proto__") mistakes.push(`'${path}.__proto__' unknown field`);
    else texts[key] = textFromValue(values[key]);
  }
  return texts;
}

/**
 * Puts the caller's app under both of the names that engines know it by.
 *
 * @throws ServingError APP_ID_MISSING where it has none and must have one.
 */
export function nameApp(headers: Texts, isRequired: boolean): void {
  const appId = headers.app_id || headers.appid || "";
  if (appId === "") {
    if (!isRequired) return;
    throw new ServingError("APP_ID_MISSING", "'$.header.app_id' must not be empty: appid cannot be empty");
  }
  headers.app_id = appId;
  headers.appid = appId;
}
