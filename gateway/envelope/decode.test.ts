import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { decodeEnvelope } from "./decode.ts";
import { encodeAnswer } from "./encode.ts";

const utf8 = new TextDecoder();

/** A part of the payload from a body that has only this stream. */
function lifted(stream: unknown) {
  const [part] = decodeEnvelope(JSON.stringify({ payload: { data: stream } })).payload;
  if (part === undefined) throw new Error("no part was lifted");
  return part;
}

function failureOf(body: string, limits = { maxDepth: 32, maxParts: 256 }): ServingError {
  try {
    decodeEnvelope(body, limits);
  } catch (error) {
    if (error instanceof ServingError) return error;
    throw error;
  }
  throw new Error("the envelope was accepted");
}

const picture = Uint8Array.from({ length: 38_186 }, (_, index) => (index * 31 + (index >> 8)) & 0xff);

describe("decodeEnvelope()", () => {
  test("reads the request of the predecessor's demo", () => {
    const body = {
      header: { app_id: "123456", uid: "39769795890", net_type: "wifi", status: 3, request_id: null },
      parameter: { mmocr: { category: "ai_category", boxes: { encoding: "utf8", compress: "raw", format: "json" } } },
      payload: { data: { encoding: "jpg", image: picture.toBase64(), status: 3 } },
    };
    const envelope = decodeEnvelope(JSON.stringify(body));
    expect(envelope.header).toEqual(body.header);
    expect(envelope.parameter).toEqual(body.parameter);
    expect(envelope.payload).toEqual([
      { name: "data", type: PartType.IMAGE, data: picture, attributes: { encoding: "jpg", status: 3 } },
    ]);
  });

  test("knows the data by each of the five types", () => {
    for (const [member, type] of [
      ["text", PartType.TEXT],
      ["audio", PartType.AUDIO],
      ["image", PartType.IMAGE],
      ["video", PartType.VIDEO],
      ["other", PartType.OTHER],
    ] as const) {
      expect(lifted({ [member]: "aGk=" })).toEqual({
        name: "data",
        type,
        data: new Uint8Array([104, 105]),
        attributes: {},
      });
    }
  });

  test("takes an absent section, and one that is null, as empty", () => {
    const empty = { header: {}, parameter: {}, payload: [] };
    expect(decodeEnvelope("{}")).toEqual(empty);
    expect(decodeEnvelope(' {"header":null,"parameter":null,"payload":null} ')).toEqual(empty);
    expect(decodeEnvelope('{"payload":{"data":null}}')).toEqual(empty);
  });

  test("keeps the streams in the order in which the caller wrote them", () => {
    const body = '{"payload":{"z":{"text":""},"a":{"status":2},"m":{"text":null}}}';
    expect(decodeEnvelope(body).payload).toEqual([
      { name: "z", type: PartType.TEXT, data: new Uint8Array(0), attributes: {} },
      { name: "a", type: PartType.UNSPECIFIED, data: new Uint8Array(0), attributes: { status: 2 } },
      { name: "m", type: PartType.TEXT, data: new Uint8Array(0), attributes: {} },
    ]);
  });

  test("decodes base64 that is broken into lines as mail programs do", () => {
    const lines = picture.toBase64().replace(/.{76}/g, "$&\r\n");
    expect(lifted({ image: lines }).data).toEqual(picture);
  });

  test("takes an object or a list in place of text as its own JSON text", () => {
    expect(utf8.decode(lifted({ text: { question: "你好 🎈", list: [1, 2.5, null] } }).data)).toBe(
      '{"question":"你好 🎈","list":[1,2.5,null]}',
    );
    expect(utf8.decode(lifted({ other: [{ a: 1 }] }).data)).toBe('[{"a":1}]');
  });

  test.each([
    ["an empty body", "", "the request body is empty"],
    ["a blank body", " \r\n\t", "the request body is empty"],
    ["a body that ends too early", '{"header":', "the request body is not valid JSON: line 1, column 11"],
    ["a broken body", '{"header": {},\n  oops', "the request body is not valid JSON: line 2, column 3"],
    ["a list", "[1]", "the request body must be a JSON object"],
    ["null", "null", "the request body must be a JSON object"],
    ["text", '"secret"', "the request body must be a JSON object"],
    ["an unknown key", '{"header":{},"extra":1}', "'$.extra' unknown field"],
    ["a header that is a list", '{"header":[]}', "'$.header' must be an object"],
    ["a parameter that is text", '{"parameter":"x"}', "'$.parameter' must be an object"],
    ["a payload that is a number", '{"payload":7}', "'$.payload' must be an object"],
    ["a stream that is text", '{"payload":{"data":"aGk="}}', "'$.payload.data' must be an object"],
    ["a top-level __proto__", '{"__proto__":{"header":{}}}', "'$.__proto__' unknown field"],
    ["an attribute __proto__", '{"payload":{"data":{"__proto__":{}}}}', "'$.payload.data.__proto__' unknown field"],
  ])("refuses %s and says where", (_, body, message) => {
    const error = failureOf(body);
    expect(error.reason).toBe("MALFORMED_ENVELOPE");
    expect(error.message).toBe(message);
  });

  test.each(["a$b=", "aGk", "aGk=x", "aGl=", "aG-_", "aGk=aGk=", "é", "===", "aGk=\u00a0"])(
    "refuses '%s', which is not standard base64",
    (text) => {
      const error = failureOf(JSON.stringify({ payload: { data: { image: text } } }));
      expect(error.reason).toBe("MALFORMED_ENVELOPE");
      expect(error.message).toBe("'$.payload.data.image' must be standard base64");
    },
  );

  test("refuses data that is neither text nor, for text, an object", () => {
    for (const stream of [{ image: 5 }, { image: true }, { image: { a: 1 } }, { audio: [1] }]) {
      const member = Object.keys(stream)[0];
      const error = failureOf(JSON.stringify({ payload: { data: stream } }));
      expect(error.reason).toBe("SCHEMA_VIOLATION");
      expect(error.message).toBe(`'$.payload.data.${member}' must be a string in standard base64`);
    }
    expect(failureOf('{"payload":{"data":{"text":5}}}').reason).toBe("SCHEMA_VIOLATION");
  });

  test("refuses two kinds of data in one stream", () => {
    const error = failureOf('{"payload":{"data":{"text":"aGk=","image":"aGk="}}}');
    expect(error.message).toBe("'$.payload.data' must hold one kind of data, got 'text' and 'image'");
    expect(lifted({ text: null, image: "aGk=" }).type).toBe(PartType.IMAGE);
  });

  test("refuses more levels and more streams than its limits", () => {
    const nested = (depth: number) => `{"header":${'{"a":'.repeat(depth - 2)}[]${"}".repeat(depth - 2)}}`;
    expect(decodeEnvelope(nested(32)).payload).toEqual([]);
    expect(failureOf(nested(33)).message).toBe("the request body nests deeper than 32 levels");
    expect(failureOf("[".repeat(5_000_000)).message).toBe("the request body nests deeper than 32 levels");
    const payload = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`s${index}`, {}]));
    expect(failureOf(JSON.stringify({ payload }), { maxDepth: 32, maxParts: 4 }).message).toBe(
      "'$.payload' has more than 4 streams",
    );
  });

  test("does not count brackets inside strings, nor those of neighbours, as levels", () => {
    const text = '{[\\"'.repeat(1000);
    const header = { text, list: Array.from({ length: 100 }, () => [{}]) };
    expect(decodeEnvelope(JSON.stringify({ header })).header).toEqual(header);
  });

  test("shows no more of a long name than its beginning, and nothing of the content", () => {
    const name = "k".repeat(10_000);
    expect(failureOf(JSON.stringify({ [name]: "secret" })).message).toBe(`'$.${"k".repeat(64)}…' unknown field`);
    expect(failureOf('{"header":{"key": secret}}').message).not.toContain("secret");
  });

  test("leaves what other objects inherit alone", () => {
    const envelope = decodeEnvelope('{"header":{"__proto__":{"admin":true},"constructor":1}}');
    expect(Reflect.get({}, "admin")).toBeUndefined();
    expect(Object.keys(envelope.header)).toEqual(["__proto__", "constructor"]);
  });

  test("decodes 4 MB of data in well under half a second", () => {
    const data = new Uint8Array(4 * 1024 * 1024).fill(7);
    const body = JSON.stringify({ payload: { data: { image: data.toBase64() } } });
    const started = performance.now();
    const envelope = decodeEnvelope(body);
    expect(performance.now() - started).toBeLessThan(500);
    expect(envelope.payload[0]?.data.length).toBe(data.length);
  });
});

describe("decodeEnvelope() with any text", () => {
  const answersOrRefuses = (body: string) => {
    try {
      const { header, parameter, payload } = decodeEnvelope(body);
      return typeof header === "object" && typeof parameter === "object" && Array.isArray(payload);
    } catch (error) {
      return error instanceof ServingError && error.class.httpStatus >= 400 && error.class.httpStatus < 500;
    }
  };
  const stream = fc.dictionary(
    fc.constantFrom("text", "image", "other", "status", "seq", "__proto__", "x"),
    fc.oneof(fc.base64String(), fc.jsonValue()),
  );
  const envelope = fc.record(
    {
      header: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
      parameter: fc.jsonValue(),
      payload: fc.oneof(fc.dictionary(fc.string(), fc.oneof(stream, fc.jsonValue())), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );

  test("gives an envelope or a refusal that is the caller's fault, never another throw", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), answersOrRefuses), { numRuns: 300 });
    fc.assert(fc.property(fc.json(), answersOrRefuses), { numRuns: 300 });
    fc.assert(
      fc.property(envelope, (value) => answersOrRefuses(JSON.stringify(value))),
      { numRuns: 300 },
    );
    const cut = fc.tuple(envelope, fc.nat()).map(([value, at]) => {
      const text = JSON.stringify(value);
      return text.slice(0, at % (text.length + 1));
    });
    fc.assert(fc.property(cut, answersOrRefuses), { numRuns: 300 });
  });

  test("gives back from an answer's JSON the bytes that went into it", () => {
    const attributes = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string());
    const property = fc.property(fc.uint8Array({ maxLength: 300 }), attributes, (data, given) => {
      const { text: _, format: __, ...rest } = given;
      const part = { $typeName: "athena.v1.Part", name: "data", type: PartType.TEXT, attributes: rest, data } as const;
      const { payload } = JSON.parse(encodeAnswer({ sid: "s", parts: [part] }, new Map()));
      return Buffer.compare(lifted(payload.data).data, data) === 0;
    });
    fc.assert(property, { numRuns: 300 });
  });
});
