import {
  type Arbitrary,
  array,
  bigInt,
  boolean,
  constantFrom,
  double,
  float,
  jsonValue,
  nat,
  oneof,
  record,
  string,
  tuple,
  uint8Array,
} from "fast-check";
import { joinBytes } from "./elements.ts";
import type { Question, QuestionPart } from "./question.ts";

const utf8 = new TextEncoder();

/** Data of any kind for the service echo: texts, JSON that is to stand in the answer as it is, and bytes that are no text. */
export const echoQuestions: Arbitrary<Question> = oneof(
  record({ data: uint8Array({ minLength: 1, maxLength: 3000 }), format: constantFrom("plain", "wav", "json") }),
  record({ data: texts(1), format: constantFrom("plain", "json") }),
  record({ data: jsonValue().map((value) => utf8.encode(JSON.stringify(value))), format: constantFrom("json") }),
)
  .chain(
    ({ data, format }) =>
      record({
        attributes: constantFrom<QuestionPart["attributes"]>({}, { format, sample: "a b" }),
        wishes: constantFrom<Question["wishes"]>(
          {},
          { data: { format } },
          { data: { encoding: "gb2312", format: "plain" } },
        ),
      }).map(({ attributes, wishes }) => ({
        service: "echo",
        parts: [{ name: "data", member: "text" as const, attributes, data }],
        wishes,
      })),
    // JSON that is one text stands in an answer as that text, which nobody can tell from base64.
  )
  .filter(({ parts }) => parts.every(({ data }) => !isJsonText(data)));

function isJsonText(data: Uint8Array): boolean {
  try {
    return typeof JSON.parse(new TextDecoder().decode(data)) === "string";
  } catch {
    return false;
  }
}

function texts(minLength: number): Arbitrary<Uint8Array> {
  return string({ minLength, maxLength: 20, unit: "grapheme" }).map((text) => utf8.encode(text));
}

/** A tensor of rows with this many columns. */
function tensor<Value>(
  [name, datatype]: readonly [string, string],
  [rows, columns]: readonly [number, number],
  values: Arbitrary<Value>,
  toBytes: (values: Value[]) => Uint8Array,
): Arbitrary<QuestionPart> {
  const length = rows * columns;
  return array(values, { minLength: length, maxLength: length }).map((all) => ({
    name,
    member: "other",
    attributes: { datatype, shape: JSON.stringify([rows, columns]) },
    data: toBytes(all),
  }));
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const rowCounts = nat(3).map((rows) => rows + 1);
const finite = { noNaN: true, noDefaultInfinity: true } as const;
const int64 = bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const uint64 = bigInt({ min: 0n, max: 2n ** 64n - 1n });
const raw = (bytes: number) => uint8Array({ minLength: bytes, maxLength: bytes });
const joined = (pieces: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(pieces));

/** Rows for tests/fixtures/models/perceptron.onnx. */
export const perceptronQuestions: Arbitrary<Question> = rowCounts
  .chain((rows) =>
    tensor(["x", "FP32"], [rows, 8], float({ ...finite, min: -1000, max: 1000 }), (all) =>
      bytesOf(Float32Array.from(all)),
    ),
  )
  .map((part) => ({ service: "perceptron", parts: [part], wishes: {} }));

/** Rows for several.onnx: integers of 64 bits, doubles, texts. */
export const severalQuestions: Arbitrary<Question> = rowCounts
  .chain((rows) =>
    tuple(
      tensor(["signed", "INT64"], [rows, 2], int64, (all) => bytesOf(BigInt64Array.from(all))),
      tensor(["unsigned", "UINT64"], [rows, 2], uint64, (all) => bytesOf(BigUint64Array.from(all))),
      tensor(["numbers", "FP64"], [rows, 2], double(finite), (all) => bytesOf(Float64Array.from(all))),
      tensor(["texts", "BYTES"], [rows, 2], texts(0), joinBytes),
    ),
  )
  .chain((parts) =>
    constantFrom<Question["wishes"]>({}, { same: {}, doubled: {} }).map((wishes) => ({
      service: "several",
      parts,
      wishes,
    })),
  );

/** Rows for identities.onnx, which has an input of each datatype, in every value that its bytes can be. */
export const identitiesQuestions: Arbitrary<Question> = rowCounts
  .chain((rows) => {
    const sizes = { int8: 1, int16: 2, int32: 4, int64: 8, uint8: 1, uint16: 2, uint32: 4, uint64: 8 };
    const integers = Object.entries(sizes).map(([name, bytes]) =>
      tensor([name, name.toUpperCase()], [rows, 2], raw(bytes), joined),
    );
    return tuple(
      tensor(["bool", "BOOL"], [rows, 2], boolean(), (all) => Uint8Array.from(all, Number)),
      ...integers,
      tensor(["float16", "FP16"], [rows, 2], raw(2), joined),
      tensor(["float", "FP32"], [rows, 2], float(), (all) => bytesOf(Float32Array.from(all))),
      tensor(["double", "FP64"], [rows, 2], double(), (all) => bytesOf(Float64Array.from(all))),
      tensor(["string", "BYTES"], [rows, 2], texts(0), joinBytes),
    );
  })
  .map((parts) => ({ service: "identities", parts, wishes: {} }));
