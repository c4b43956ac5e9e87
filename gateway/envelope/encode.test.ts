import { describe, expect, test } from "bun:test";
import { type Part, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { type AttributeType, encodeAnswer, encodeError } from "./encode.ts";

const utf8 = new TextEncoder();
const noTypes = new Map<string, ReadonlyMap<string, AttributeType>>();

function part(attributes: Record<string, string>, data: string | Uint8Array, type = PartType.TEXT): Part {
  const bytes = typeof data === "string" ? utf8.encode(data) : data;
  return { $typeName: "athena.v1.Part", name: "boxes", type, attributes, data: bytes };
}

/** The text of the only payload member. */
function boxes(answer: Part, types = noTypes): string {
  const text = encodeAnswer({ sid: "s", parts: [answer] }, types);
  const start = '{"header":{"code":0,"message":"success","sid":"s"},"payload":{"boxes":';
  expect(text.startsWith(start)).toBe(true);
  return text.slice(start.length, -2);
}

describe("encodeAnswer()", () => {
  test("writes the answer that the predecessor's demo expects, to the byte", () => {
    const answer = part(
      { status: "3", seq: "0", format: "json", encoding: "utf8", compress: "raw" },
      '[{"filename":"0","result":[{"box":[190,37],"text":"nboroughofs"}]}]',
    );
    expect(encodeAnswer({ sid: "ase0001", parts: [answer] }, noTypes)).toBe(
      '{"header":{"code":0,"message":"success","sid":"ase0001"},"payload":{"boxes":{"compress":"raw","encoding":"utf8",' +
        '"format":"json","seq":0,"status":3,"text":[{"filename":"0","result":[{"box":[190,37],"text":"nboroughofs"}]}]}}}',
    );
  });

  test("leaves the payload out where there are no parts", () => {
    expect(encodeAnswer({ sid: "s", parts: [] }, noTypes)).toBe('{"header":{"code":0,"message":"success","sid":"s"}}');
  });

  test("joins several parts", () => {
    const text = encodeAnswer({ sid: "s", parts: [part({}, "a"), { ...part({}, "b"), name: "more" }] }, noTypes);
    expect(JSON.parse(text).payload).toEqual({ boxes: { text: "YQ==" }, more: { text: "Yg==" } });
  });

  test("writes base64 for plain data, for data that only claims to be JSON, and for broken UTF-8", () => {
    expect(boxes(part({ format: "plain" }, "[1]"))).toBe('{"format":"plain","text":"WzFd"}');
    expect(boxes(part({ format: "json" }, "[1"))).toBe('{"format":"json","text":"WzE="}');
    expect(boxes(part({ format: "json" }, ""))).toBe('{"format":"json","text":""}');
    expect(boxes(part({ format: "json" }, new Uint8Array([0x22, 0xff, 0x22])))).toBe('{"format":"json","text":"Iv8i"}');
  });

  test("embeds JSON as its own text, digits and all", () => {
    const json = '{"n":12345678901234567890,"e":1.50,"s":"你好 🎈"}';
    expect(boxes(part({ format: "json" }, json))).toBe(`{"format":"json","text":${json}}`);
  });

  test("names the data after its type", () => {
    expect(boxes(part({}, "a", PartType.IMAGE))).toBe('{"image":"YQ=="}');
    expect(boxes(part({}, "a", PartType.OTHER))).toBe('{"other":"YQ=="}');
    expect(boxes(part({}, "a", PartType.UNSPECIFIED))).toBe('{"other":"YQ=="}');
  });

  test("gives attributes their declared types, and leaves those that do not fit as text", () => {
    const types = new Map<string, ReadonlyMap<string, AttributeType>>([
      [
        "boxes",
        new Map<string, AttributeType>([
          ["rate", "number"],
          ["word", "number"],
          ["final", "boolean"],
          ["maybe", "boolean"],
        ]),
      ],
    ]);
    const answer = part({ rate: "16000.5", word: "many", final: "true", maybe: "yes", other: "1", seq: "" }, "a");
    expect(boxes(answer, types)).toBe(
      '{"final":true,"maybe":"yes","other":"1","rate":16000.5,"seq":"","word":"many","text":"YQ=="}',
    );
  });

  test("stays valid JSON whatever the names and values are", () => {
    const strange = { 'a"b': 'c\\"\n\u2028', __proto__x: "\ud800", text: "hidden", "": "" };
    const answer: Part = { ...part(strange, "a"), name: 'bo"xes' };
    const parsed = JSON.parse(encodeAnswer({ sid: '"', parts: [answer] }, noTypes));
    expect(parsed.header.sid).toBe('"');
    expect(parsed.payload['bo"xes']).toEqual({
      "": "",
      __proto__x: "\ud800",
      'a"b': 'c\\"\n\u2028',
      text: "YQ==",
    });
  });
});

describe("encodeError()", () => {
  test("writes code, message and sid", () => {
    expect(encodeError(10163, "'$.header.\"x\"' unknown field", "ase1")).toBe(
      '{"header":{"code":10163,"message":"\'$.header.\\"x\\"\' unknown field","sid":"ase1"}}',
    );
  });
});
