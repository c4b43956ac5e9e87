// A request as the predecessor's schemas see it is JSON in which the data of a payload stream, whose base64 is decoded
// already, stands as its bytes. To a schema such bytes are the base64 text that they came from.

/** An object of a request that a schema may rewrite. */
export type MutableObject = Record<string, unknown>;

/** Tells whether a value is a JSON object. */
export function isObject(value: unknown): value is MutableObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** The text of a string or of data; undefined for every other value. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? value.toBase64() : undefined;
}

/** What the predecessor measures: a text's bytes, a list's items; undefined for a value that has no length. */
export function lengthOf(value: unknown): number | undefined {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (value instanceof Uint8Array) return 4 * Math.ceil(value.length / 3);
  return Array.isArray(value) ? value.length : undefined;
}

/**
 * A copy whose objects and lists may be changed. Data is not copied. A member named `__proto__` is left out: assigning
 * to it would change what the object inherits from.
 */
export function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  return isObject(value) ? copyOfObject(value) : value;
}

/** As {@link copyOf}, for an object. */
export function copyOfObject(value: Readonly<Record<string, unknown>>): MutableObject {
  const copy: MutableObject = {};
  for (const key in value) if (key !== "__proto__") copy[key] = copyOf(value[key]);
  return copy;
}

/** Makes an object or list equal to a copy of it that was rewritten. */
export function adopt(value: unknown, rewritten: unknown): void {
  if (isObject(value) && isObject(rewritten)) {
    for (const key of Object.keys(value)) if (!Object.hasOwn(rewritten, key)) delete value[key];
    Object.assign(value, rewritten);
  } else if (Array.isArray(value) && Array.isArray(rewritten)) {
    value.splice(0, value.length, ...rewritten);
  }
}
