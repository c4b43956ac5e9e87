import { describe, expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ServingError } from "../../../proto/errors.ts";
import { ModelInferRequestSchema } from "../../../proto/gen/inference/grpc_service_pb.ts";
import { decodeGrpcRequest } from "./grpc-request.ts";

type Init = MessageInitShape<typeof ModelInferRequestSchema>;
type Contents = NonNullable<NonNullable<Init["inputs"]>[number]["contents"]>;

const decode = (init: Init) => decodeGrpcRequest(create(ModelInferRequestSchema, init));
const decodeContents = (datatype: string, contents: Contents) => [
  ...(decode({ inputs: [{ name: "x", datatype, shape: [2n], contents }] }).inputs[0]?.data ?? []),
];

describe("decodeGrpcRequest()", () => {
  test("takes raw contents as they are, one for each input", () => {
    const raw = new Uint8Array([1, 2]);
    const inputs = [{ name: "x", datatype: "INT8", shape: [2n] }];
    const request = decode({ id: "7", inputs, rawInputContents: [raw], outputs: [{ name: "y" }] });
    expect(request).toMatchObject({ id: "7", binaryOutputs: true, outputs: [{ name: "y", binary: true }] });
    expect(request.inputs[0]?.data).toBe(raw);
    expect(() => decode({ inputs, rawInputContents: [raw, raw] })).toThrow("one for each of 1 inputs, got 2");
    const both = [{ ...inputs[0], contents: { intContents: [1, 2] } }];
    expect(() => decode({ inputs: both, rawInputContents: [raw] })).toThrow("must be empty beside raw_input_contents");
  });

  test("writes typed contents of every datatype as raw elements", () => {
    expect(decodeContents("BOOL", { boolContents: [true, false] })).toEqual([1, 0]);
    expect(decodeContents("INT8", { intContents: [-1, 2] })).toEqual([255, 2]);
    expect(decodeContents("INT16", { intContents: [-1, 2] })).toEqual([255, 255, 2, 0]);
    expect(decodeContents("INT32", { intContents: [1, 2] })).toEqual([1, 0, 0, 0, 2, 0, 0, 0]);
    expect(decodeContents("INT64", { int64Contents: [-1n, 2n] }).slice(7, 10)).toEqual([255, 2, 0]);
    expect(decodeContents("UINT8", { uintContents: [255, 2] })).toEqual([255, 2]);
    expect(decodeContents("UINT16", { uintContents: [1, 2] })).toEqual([1, 0, 2, 0]);
    expect(decodeContents("UINT32", { uintContents: [1, 2] })).toEqual([1, 0, 0, 0, 2, 0, 0, 0]);
    expect(decodeContents("UINT64", { uint64Contents: [2n ** 64n - 1n, 0n] }).slice(7, 9)).toEqual([255, 0]);
    expect(decodeContents("FP32", { fp32Contents: [1, Number.NaN] })).toEqual([0, 0, 128, 63, 0, 0, 192, 127]);
    expect(decodeContents("FP64", { fp64Contents: [Number.POSITIVE_INFINITY, 0] })[7]).toBe(0x7f);
    expect(decodeContents("BYTES", { bytesContents: [new Uint8Array([255]), new Uint8Array()] })).toEqual([
      1, 0, 0, 0, 255, 0, 0, 0, 0,
    ]);
  });

  test("reads parameters of every kind, and takes the protocol's own out of them", () => {
    const of = (value: boolean | bigint | string | number) => {
      const names = {
        boolean: "boolParam",
        bigint: "int64Param",
        string: "stringParam",
        number: "doubleParam",
      } as const;
      return { parameterChoice: { case: names[typeof value as keyof typeof names], value } } as never;
    };
    const parameters = {
      ...{ flag: of(true), small: of(5n), large: of(2n ** 62n), text: of("t"), half: of(0.5) },
      ...{ priority: of(1n), timeout: of(2000n), triton_enable_empty_final_response: of(true) },
    };
    expect(decode({ parameters })).toMatchObject({
      parameters: { flag: true, small: 5, large: 2n ** 62n, text: "t", half: 0.5 },
      priority: 100,
      timeoutMs: 2,
    });
  });

  const mistakes: readonly (readonly [string, Init, string])[] = [
    ["an unknown datatype", { inputs: [{ name: "x", datatype: "FLOAT" }] }, "inputs.x.datatype"],
    ["a negative size", { inputs: [{ name: "x", datatype: "FP32", shape: [-1n] }] }, "inputs.x.shape"],
    [
      "contents in the wrong field",
      { inputs: [{ name: "x", datatype: "INT8", contents: { uintContents: [1] } }] },
      "INT8 is expected in intContents alone",
    ],
    [
      "typed 16-bit floats",
      { inputs: [{ name: "x", datatype: "FP16", contents: { fp32Contents: [1] } }] },
      "raw_input_contents alone",
    ],
    [
      "an element out of range",
      { inputs: [{ name: "x", datatype: "INT8", contents: { intContents: [300] } }] },
      "inputs.x.contents: data[0]",
    ],
    ["a parameter without a value", { parameters: { a: {} } }, "parameters.a"],
    [
      "shared memory",
      {
        inputs: [
          {
            name: "x",
            datatype: "INT8",
            parameters: { shared_memory_region: { parameterChoice: { case: "stringParam", value: "r" } } },
          },
        ],
      },
      "is not supported",
    ],
  ];
  test.each(mistakes)("refuses %s and names the field", (_, init, message) => {
    expect(() => decode(init)).toThrow(message);
  });

  test("takes any message for a request or its sender's mistake", () => {
    const input = fc.record({
      name: fc.string({ maxLength: 3 }),
      datatype: fc.constantFrom("FP32", "INT8", "BYTES", "BOOL", "x"),
      shape: fc.array(fc.bigInt({ min: -2n, max: 2n ** 63n - 1n }), { maxLength: 3 }),
      contents: fc.record({ intContents: fc.array(fc.integer(), { maxLength: 2 }) }, { requiredKeys: [] }),
    });
    const raw = fc.array(fc.uint8Array({ maxLength: 4 }), { maxLength: 2 });
    fc.assert(
      fc.property(fc.array(input, { maxLength: 2 }), raw, (inputs, rawInputContents) => {
        try {
          decode({ inputs, rawInputContents });
        } catch (error) {
          if (!(error instanceof ServingError)) throw error;
          expect(error.class.httpStatus).toBe(400);
        }
      }),
      { numRuns: 500 },
    );
  });
});
