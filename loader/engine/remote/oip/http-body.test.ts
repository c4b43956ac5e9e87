import { describe, expect, test } from "bun:test";
import { binaryBody, jsonBody, jsonLengthHeader, tensorsFromBody } from "./http-body.ts";
import type { NamedTensor } from "./tensors.ts";

const head = { id: "a sid", parameters: { marks: 2 }, outputs: ["y"] };
const tensors: NamedTensor[] = [
  { name: "a", datatype: "FP16", shape: [2], data: new Uint8Array([1, 2, 3, 4]) },
  { name: "b", datatype: "INT64", shape: [0, 3], data: new Uint8Array(0) },
];

/** An answer as a server sends it: the JSON, and the bytes behind it. */
function answer(json: object | string, bytes: readonly number[] = []) {
  const text = Buffer.from(typeof json === "string" ? json : JSON.stringify(json));
  return { body: Buffer.concat([text, new Uint8Array(bytes)]), length: String(text.length) };
}

describe("a request's body", () => {
  test("holds the tensors behind the JSON, in order, and asks for its outputs in binary", () => {
    const { body, headers } = binaryBody(head, tensors);
    const length = Number(headers[jsonLengthHeader]);
    expect(JSON.parse(Buffer.from(body as Uint8Array).toString("utf8", 0, length))).toEqual({
      id: "a sid",
      parameters: { marks: 2, binary_data_output: true },
      inputs: [
        { name: "a", datatype: "FP16", shape: [2], parameters: { binary_data_size: 4 } },
        { name: "b", datatype: "INT64", shape: [0, 3], parameters: { binary_data_size: 0 } },
      ],
      outputs: [{ name: "y", parameters: { binary_data: true } }],
    });
    expect(body.slice(length)).toEqual(Buffer.from([1, 2, 3, 4]));
    expect(headers["content-type"]).toBe("application/octet-stream");
  });

  test("is JSON alone where the server takes nothing else, and names the part that cannot be", () => {
    const { body, headers } = jsonBody(head, tensors.slice(1), () => "utf8");
    expect(JSON.parse(String(body))).toEqual({
      id: "a sid",
      parameters: { marks: 2 },
      inputs: [{ name: "b", datatype: "INT64", shape: [0, 3], data: [] }],
      outputs: [{ name: "y" }],
    });
    expect(headers).toEqual({ "content-type": "application/json" });
    expect(() => jsonBody(head, tensors, () => "utf8")).toThrow(
      "payload.a: FP16 can travel in binary only, and the model server takes JSON only",
    );
  });
});

describe("an answer's body", () => {
  const output = (name: string, rest: object) => ({ name, datatype: "INT8", shape: [2], ...rest });

  test("may hold some tensors in binary and others as JSON", () => {
    const outputs = [
      output("a", { parameters: { binary_data_size: 2 } }),
      output("b", { data: [3, 4] }),
      output("c", { parameters: { binary_data_size: 2 } }),
    ];
    const { body, length } = answer({ outputs }, [1, 2, 5, 6]);
    expect(tensorsFromBody("served", body, length).map(({ name, data }) => [name, ...data])).toEqual([
      ["a", 1, 2],
      ["b", 3, 4],
      ["c", 5, 6],
    ]);
  });

  test("keeps 64 bits exact", () => {
    const json = `{"outputs":[{"name":"n","datatype":"UINT64","shape":[1],"data":[18446744073709551615]}]}`;
    const [tensor] = tensorsFromBody("served", Buffer.from(json), null);
    expect(tensor?.data).toEqual(new Uint8Array(8).fill(255));
  });

  const binary = { parameters: { binary_data_size: 2 } };
  for (const [what, { body, length }, message] of [
    ["no JSON", answer("{"), "it is not JSON"],
    ["JSON without outputs", answer("[]"), "it has no outputs"],
    ["an output without a name", answer({ outputs: [{ shape: [1] }] }), "an output has no name or shape"],
    ["an output that is none", answer({ outputs: [null] }), "an output has no name or shape"],
    ["an unknown datatype", answer({ outputs: [output("a", { datatype: "FP8" })] }), "output 'a' has no datatype"],
    ["a negative size", answer({ outputs: [output("a", { shape: [-1] })] }), "output 'a' has no datatype"],
    ["no data", answer({ outputs: [output("a", {})] }), "output 'a': its data is not an array"],
    ["bytes that are missing", answer({ outputs: [output("a", binary)] }, [1]), "a binary_data_size that is wrong"],
    [
      "a size that is no number",
      answer({ outputs: [output("a", { parameters: { binary_data_size: "2" } })] }, [1, 2]),
      "a binary_data_size that is wrong",
    ],
    ["bytes that belong to none", answer({ outputs: [output("a", binary)] }, [1, 2, 3]), "longer than its tensors"],
  ] as const) {
    test(`with ${what} is refused`, () => {
      expect(() => tensorsFromBody("served", body, length)).toThrow(message);
    });
  }

  test("with a length of the JSON that cannot be is refused", () => {
    for (const length of ["-1", "99", "x"]) {
      expect(() => tensorsFromBody("served", Buffer.from("{}"), length)).toThrow(jsonLengthHeader);
    }
  });
});
