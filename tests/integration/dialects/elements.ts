/* A second reading of the protocol's page, not the gateway's own: what they disagree in is a mistake of one of them. */

const arrays = {
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const;

const isNumeric = (datatype: string): datatype is keyof typeof arrays => Object.hasOwn(arrays, datatype);

/** The elements of a BYTES tensor. */
export function splitBytes(data: Uint8Array): Uint8Array[] {
  const elements: Uint8Array[] = [];
  for (let at = 0; at < data.length; ) {
    const end = at + 4 + new DataView(data.buffer, data.byteOffset + at).getUint32(0, true);
    elements.push(data.slice(at + 4, end));
    at = end;
  }
  return elements;
}

/** The data of a BYTES tensor. */
export function joinBytes(elements: readonly Uint8Array[]): Uint8Array {
  const pieces = elements.flatMap((element) => [new Uint8Array(Uint32Array.of(element.length).buffer), element]);
  return new Uint8Array(Buffer.concat(pieces));
}

/** A tensor's elements as values: numbers, bigints, booleans, or bytes. */
export function valuesFrom(datatype: string, data: Uint8Array): readonly unknown[] {
  if (datatype === "BOOL") return Array.from(data, Boolean);
  if (datatype === "BYTES") return splitBytes(data);
  if (!isNumeric(datatype)) throw new Error(`${datatype} has raw data only`);
  return [...new arrays[datatype](new Uint8Array(data).buffer)];
}

/** The same as JSON. */
export function jsonFrom(datatype: string, data: Uint8Array): string {
  const texts = valuesFrom(datatype, data).map((value) => {
    if (value instanceof Uint8Array) return JSON.stringify(new TextDecoder("utf-8", { ignoreBOM: true }).decode(value));
    return Object.is(value, -0) ? "-0.0" : String(value);
  });
  return `[${texts.join(",")}]`;
}

/** A tensor's data from the members of a JSON array, which were read without a loss of digits. */
export function dataFrom(datatype: string, values: readonly unknown[]): Uint8Array {
  if (datatype === "BOOL") return Uint8Array.from(values, Number);
  if (datatype === "BYTES") return joinBytes(values.map((value) => new TextEncoder().encode(String(value))));
  if (!isNumeric(datatype)) throw new Error(`${datatype} has raw data only`);
  const isBig = datatype === "INT64" || datatype === "UINT64";
  const list = values.map((value) => (isBig ? BigInt(value as bigint) : value)) as never;
  return new Uint8Array(new arrays[datatype](list).buffer);
}

/** Parses JSON; whole numbers that are beyond a double are bigints. */
export function parseExactly(text: string): unknown {
  const exact = (_: string, value: unknown, { source = "" }: { readonly source?: string }): unknown =>
    typeof value === "number" && /^-?\d{16,}$/.test(source) ? BigInt(source) : value;
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}
