/**
 * A JSON value of a header, parameter or attribute as the text that engines receive. The predecessor's rules: strings as
 * they are, numbers in their shortest decimal form, null as nothing, the items of an array joined by ";". Unlike there,
 * an object is its JSON text. Data that a schema has put there is its base64.
 */
export function textFromValue(value: unknown): string {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(textFromValue).join(";");
  if (value instanceof Uint8Array) return value.toBase64();
  if (typeof value === "object") return JSON.stringify(value);
  return typeof value === "number" ? decimalFromNumber(value) : String(value);
}

/** Without an exponent where 21 digits suffice: `String` alone writes 1e-7. */
function decimalFromNumber(value: number): string {
  const text = String(value);
  const negativeExponent = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(text);
  if (negativeExponent === null) return text;
  const [, sign = "", first = "", rest = "", exponent = ""] = negativeExponent;
  const zeros = Number(exponent) - 1;
  return zeros > 20 ? text : `${sign}0.${"0".repeat(zeros)}${first}${rest}`;
}
