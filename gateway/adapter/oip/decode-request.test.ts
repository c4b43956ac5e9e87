import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../../proto/errors.ts";
import type { TensorRequest } from "../../types.ts";
import { decodeRestRequest } from "./decode-request.ts";

const utf8 = new TextEncoder();
const input = { name: "x", shape: [2], datatype: "INT8", data: [1, 2] };
const binaryInput = { name: "x", shape: [2], datatype: "INT8", parameters: { binary_data_size: 2 } };

const decodeJson = (document: unknown): TensorRequest =>
  decodeRestRequest({ bytes: utf8.encode(JSON.stringify(document)), headerLength: null });

function decodeBinary(document: unknown, ...blobs: readonly number[][]): TensorRequest {
  const json = utf8.encode(JSON.stringify(document));
  return decodeRestRequest({
    bytes: Buffer.concat([json, new Uint8Array(blobs.flat())]),
    headerLength: `${json.length}`,
  });
}

describe("decodeRestRequest() of JSON", () => {
  test("reads tensors, what is wanted back, and the protocol's own parameters", () => {
    const request = decodeJson({
      id: "7",
      parameters: { priority: 3, timeout: 1500, colour: "red", binary_data_output: true },
      inputs: [{ ...input, parameters: { encoding: "png", nothing: null } }],
      outputs: [{ name: "y" }, { name: "z", parameters: { binary_data: false, format: "json" } }],
      whatever: 1,
    });
    expect(request).toEqual({
      header: {},
      id: "7",
      parameters: { colour: "red" },
      priority: 98,
      timeoutMs: 1.5,
      inputs: [
        { name: "x", shape: [2], datatype: "INT8", parameters: { encoding: "png" }, data: new Uint8Array([1, 2]) },
      ],
      rawInput: undefined,
      outputs: [
        { name: "y", parameters: {}, binary: true },
        { name: "z", parameters: { format: "json" }, binary: false },
      ],
      binaryOutputs: true,
    });
  });

  test("takes nested data as it takes flat data, and none for a dimension of 0", () => {
    const data = (shape: number[], value: unknown) => [
      ...(decodeJson({ inputs: [{ ...input, shape, data: value }] }).inputs[0]?.data ?? []),
    ];
    expect(
      data(
        [2, 2],
        [
          [1, 2],
          [3, 4],
        ],
      ),
    ).toEqual([1, 2, 3, 4]);
    expect(data([2, 1, 2], [[[1, 2]], [[3, 4]]])).toEqual([1, 2, 3, 4]);
    expect(data([0, 4], [])).toEqual([]);
    expect(data([2, 0], [[], []])).toEqual([]);
    expect(data([], [5])).toEqual([5]);
  });

  test("keeps every digit of parameters, and what is null counts as absent", () => {
    const bytes = utf8.encode('{"id":null,"outputs":null,"parameters":{"seed":9007199254740993},"inputs":[]}');
    const request = decodeRestRequest({ bytes, headerLength: null });
    expect(request).toMatchObject({ id: "", outputs: undefined, parameters: { seed: 9007199254740993n } });
  });

  const mistakes: readonly (readonly [string, unknown, string])[] = [
    ["an array", [], "must be a JSON object"],
    ["no inputs", {}, "inputs: expected an array"],
    ["an input that is none", { inputs: [1] }, "inputs: expected an array of objects"],
    ["an input without a name", { inputs: [{ ...input, name: undefined }] }, "inputs[0].name"],
    ["an unknown datatype", { inputs: [{ ...input, datatype: "FLOAT" }] }, "inputs.x.datatype"],
    ["a negative size", { inputs: [{ ...input, shape: [-1] }] }, "inputs.x.shape"],
    ["a broken size", { inputs: [{ ...input, shape: [1.5] }] }, "inputs.x.shape"],
    ["no shape", { inputs: [{ ...input, shape: undefined }] }, "inputs.x.shape"],
    ["33 dimensions", { inputs: [{ ...input, shape: Array(33).fill(1) }] }, "inputs.x.shape"],
    ["too few elements", { inputs: [{ ...input, shape: [3] }] }, "inputs.x.data: 3 elements expected"],
    ["a shape of endless size", { inputs: [{ ...input, shape: [2 ** 50, 2 ** 50] }] }, "elements expected"],
    ["data that is no array", { inputs: [{ ...input, data: 5 }] }, "inputs.x.data: expected an array"],
    ["no data", { inputs: [{ ...input, data: undefined }] }, "got none"],
    ["an element of another type", { inputs: [{ ...input, data: [1, {}] }] }, "inputs.x.data[1]"],
    ["binary data without a header", { inputs: [binaryInput] }, "needs the header Inference-Header-Content-Length"],
    ["shared memory", { inputs: [{ ...input, parameters: { shared_memory_region: "r" } }] }, "is not supported"],
    ["classification", { inputs: [input], outputs: [{ name: "y", parameters: { classification: 3 } }] }, "outputs.y"],
    ["a sequence", { inputs: [input], parameters: { sequence_id: 5 } }, "parameters.sequence_id: sequences"],
    ["a reserved parameter", { inputs: [input], parameters: { triton_x: 5 } }, "parameters.triton_x: is reserved"],
    ["a broken timeout", { inputs: [input], parameters: { timeout: "soon" } }, "parameters.timeout"],
    ["a negative priority", { inputs: [input], parameters: { priority: -1 } }, "parameters.priority"],
    ["a parameter that is an object", { inputs: [input], parameters: { a: {} } }, "parameters.a"],
    ["an id that is a number", { inputs: [input], id: 5 }, "id: expected a string"],
    ["a flag that is none", { inputs: [input], parameters: { binary_data_output: 1 } }, "binary_data_output"],
  ];
  test.each(mistakes)("refuses %s and names the field", (_, document, message) => {
    expect(() => decodeJson(document)).toThrow(message);
    expect(() => decodeJson(document)).toThrow(ServingError);
  });

  test("refuses bytes that are not UTF-8, and a parameter that would be a prototype", () => {
    expect(() => decodeRestRequest({ bytes: new Uint8Array([0xff]), headerLength: null })).toThrow("not UTF-8");
    const bytes = utf8.encode('{"inputs":[],"parameters":{"__proto__":1}}');
    expect(() => decodeRestRequest({ bytes, headerLength: null })).toThrow("parameters.__proto__");
  });
});

describe("decodeRestRequest() with binary data", () => {
  test("gives inputs views of the body, in their order, beside inputs of JSON", () => {
    const json = utf8.encode(
      JSON.stringify({
        inputs: [
          binaryInput,
          { ...input, name: "y" },
          { ...binaryInput, name: "z", shape: [1], parameters: { binary_data_size: 1 } },
        ],
      }),
    );
    const bytes = new Uint8Array(Buffer.concat([json, new Uint8Array([7, 8, 9])]));
    const { inputs } = decodeRestRequest({ bytes, headerLength: String(json.length) });
    expect(inputs.map(({ data }) => [...data])).toEqual([[7, 8], [1, 2], [9]]);
    expect(inputs[0]?.data.buffer).toBe(bytes.buffer);
    expect(inputs[2]?.data.byteOffset).toBe(json.length + 2);
  });

  test("takes a size of 0", () => {
    const empty = { ...binaryInput, shape: [0], parameters: { binary_data_size: 0 } };
    expect(decodeBinary({ inputs: [empty, binaryInput] }, [1, 2]).inputs[0]?.data).toHaveLength(0);
  });

  test("takes a body without JSON for the raw data of the only input", () => {
    const bytes = new Uint8Array([1, 2, 3]);
    const request = decodeRestRequest({ bytes, headerLength: "0" });
    expect(request).toMatchObject({ inputs: [], binaryOutputs: true, outputs: undefined });
    expect(request.rawInput).toBe(bytes);
  });

  test.each(["-1", "1.5", "0x10", "", " ", "1e1", "99", "9999999999999999999", "12abc"])(
    "refuses a header length of '%s'",
    (headerLength) => {
      expect(() => decodeRestRequest({ bytes: utf8.encode("{}"), headerLength })).toThrow(
        "from 0 to the body's length, 2",
      );
    },
  );

  test("refuses sizes that do not add up", () => {
    expect(() => decodeBinary({ inputs: [binaryInput] }, [1])).toThrow("inputs.x: unexpected size for input");
    expect(() => decodeBinary({ inputs: [binaryInput] }, [1, 2, 3])).toThrow(
      "unexpected additional input data: 1 bytes",
    );
    for (const size of [-1, 1.5, "2", 2 ** 53]) {
      const wrong = { ...binaryInput, parameters: { binary_data_size: size } };
      expect(() => decodeBinary({ inputs: [wrong] }, [1, 2])).toThrow("inputs.x");
    }
    expect(() => decodeBinary({ inputs: [{ ...binaryInput, data: [1, 2] }] }, [1, 2])).toThrow("got both");
  });
});

describe("decodeRestRequest() of anything", () => {
  const isCallersMistake = (body: Parameters<typeof decodeRestRequest>[0]): void => {
    try {
      decodeRestRequest(body);
    } catch (error) {
      if (!(error instanceof ServingError)) throw error;
      expect([400, 501]).toContain(error.class.httpStatus);
      expect(error.message.length).toBeLessThan(400);
    }
  };

  test("any bytes behind any header are a request or its sender's mistake", () => {
    const header = fc.oneof(fc.constant(null), fc.nat(40).map(String), fc.string({ maxLength: 5 }));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), header, (bytes, headerLength) =>
        isCallersMistake({ bytes, headerLength }),
      ),
      { numRuns: 500 },
    );
  });

  test("a document that is nearly a request is one, or its sender's mistake", () => {
    const scalar = fc.oneof(
      fc.constantFrom("x", "FP32", "BYTES", "INT64"),
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
    );
    const some = fc.oneof(scalar, fc.array(scalar, { maxLength: 3 }), fc.jsonValue({ maxDepth: 2 }));
    const names = ["name", "shape", "datatype", "data", "parameters", "binary_data_size", "binary_data"];
    const member = fc.dictionary(fc.constantFrom(...names), some, { maxKeys: 6 });
    const document = fc.record(
      {
        id: some,
        parameters: fc.oneof(some, member),
        inputs: fc.array(fc.oneof(member, some)),
        outputs: fc.array(member),
      },
      { requiredKeys: ["inputs"] },
    );
    fc.assert(
      fc.property(document, fc.uint8Array({ maxLength: 8 }), fc.boolean(), (value, blob, hasHeader) => {
        const json = utf8.encode(JSON.stringify(value));
        isCallersMistake({ bytes: Buffer.concat([json, blob]), headerLength: hasHeader ? String(json.length) : null });
      }),
      { numRuns: 1000 },
    );
  });
});
