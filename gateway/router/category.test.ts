import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { Envelope } from "../types.ts";
import { type CategoryRule, createCategory, loopsOf } from "./category.ts";
import { requestPathFrom, valueAt } from "./request-path.ts";

function rule(service: string, priority: number, when: Record<string, readonly string[]>): CategoryRule {
  const conditions = Object.entries(when).map(([text, texts]) => ({
    path: requestPathFrom(text) ?? expect.unreachable(text),
    allowed: new Set(texts),
  }));
  return { service, priority, conditions };
}

const envelope = (parts: Partial<Envelope>): Envelope => ({ header: {}, parameter: {}, payload: [], ...parts });
const lang = (value: unknown): Envelope => envelope({ parameter: { ocr: { lang: value } } });

describe("createCategory()", () => {
  const pick = createCategory({
    id: "ocr",
    routeKeys: ["lang", "mode"],
    rules: [
      rule("ocr_en", 1, { "$.parameter.ocr.lang": ["en"] }),
      rule("ocr_zh", 10, { "$.parameter.ocr.lang": ["zh", "zh-tw", "en"], "$.header.mode": ["fast"] }),
      rule("ocr_number", 1, { "$.parameter.ocr.lang": ["7", "true", ""] }),
    ],
  });

  test("takes the rule of the highest priority whose conditions all hold", () => {
    expect(pick(lang("en"))).toEqual({ service: "ocr_en", routeKey: "en" });
    expect(pick({ ...lang("en"), header: { mode: "fast" } })).toEqual({ service: "ocr_zh", routeKey: "en_fast" });
  });

  test("compares numbers, booleans and null as texts", () => {
    for (const value of [7, "7", true, null]) expect(pick(lang(value)).service).toBe("ocr_number");
  });

  test("refuses a request that no rule is for, in the words that clients know", () => {
    for (const request of [
      lang("fr"),
      lang(["en"]),
      lang({ en: 1 }),
      envelope({}),
      envelope({ parameter: { ocr: 5 } }),
    ]) {
      expect(() => pick(request)).toThrow("category 'ocr': no companion route found");
    }
  });

  test("takes a rule without conditions for every request, in its turn", () => {
    const any = createCategory({ id: "c", routeKeys: [], rules: [rule("rest", 0, {}), rule("late", 0, {})] });
    expect(any(envelope({}))).toEqual({ service: "rest", routeKey: "" });
  });

  test("is a pure function of the request, and never throws anything but its own error", () => {
    const property = fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), (header, ocr) => {
      const request = envelope({ header, parameter: { ocr } });
      const outcome = (): unknown => {
        try {
          return pick(request);
        } catch (error) {
          return error instanceof ServingError ? error.reason : error;
        }
      };
      const before = structuredClone(request);
      const first = outcome();
      expect(first === "CATEGORY_UNMATCHED" || typeof first === "object").toBe(true);
      expect(outcome()).toEqual(first);
      expect(request).toEqual(before);
    });
    fc.assert(property, { numRuns: 300 });
  });

  test("chooses as a plain reading of the rules would, whatever they are", () => {
    const texts = fc.constantFrom("a", "b", "c");
    const rules = fc.array(
      fc.record({
        priority: fc.integer({ min: 0, max: 3 }),
        x: fc.option(fc.array(texts)),
        y: fc.option(fc.array(texts)),
      }),
    );
    const property = fc.property(rules, fc.option(texts), fc.option(texts), (given, x, y) => {
      const category = {
        id: "c",
        routeKeys: [],
        rules: given.map(({ priority, ...when }, index) =>
          rule(`s${index}`, priority, {
            ...(when.x === null ? {} : { "$.header.x": when.x }),
            ...(when.y === null ? {} : { "$.header.y": when.y }),
          }),
        ),
      };
      const header = { ...(x === null ? {} : { x }), ...(y === null ? {} : { y }) };
      const fits = given.flatMap((entry, index) => {
        const holds = (wanted: readonly string[] | null, value: string | null) =>
          wanted === null || (value !== null && wanted.includes(value));
        return holds(entry.x, x) && holds(entry.y, y) ? [{ index, priority: entry.priority }] : [];
      });
      const highest = Math.max(...fits.map(({ priority }) => priority));
      const expected = fits.find(({ priority }) => priority === highest);
      const choose = () => createCategory(category)(envelope({ header })).service;
      if (expected === undefined) expect(choose).toThrow("no companion route found");
      else expect(choose()).toBe(`s${expected.index}`);
    });
    fc.assert(property, { numRuns: 300 });
  });
});

describe("requestPathFrom() and valueAt()", () => {
  const request = envelope({
    header: { a: [{ b: 1 }], "odd.name": 2 },
    payload: [
      { name: "img", type: PartType.IMAGE, data: new Uint8Array(1), attributes: { encoding: "jpg", a: { b: 3 } } },
    ],
  });
  const at = (text: string) => valueAt(request, requestPathFrom(text) ?? expect.unreachable(text));

  test("find values in every section, and attributes of payload streams", () => {
    expect(at("$.header.a[0].b")).toBe(1);
    expect(at("header.a[0].b")).toBe(1);
    expect(at("$['header']['odd.name']")).toBe(2);
    expect(at("$.payload.img.encoding")).toBe("jpg");
    expect(at("$.payload.img.a.b")).toBe(3);
  });

  test("find nothing where nothing is, and no data", () => {
    for (const text of [
      "$.header.b",
      "$.header.a[1]",
      "$.payload.img.image",
      "$.payload.none.x",
      "$.header.constructor",
    ]) {
      expect(at(text)).toBeUndefined();
    }
  });

  test("refuse what is no path into a request", () => {
    for (const text of [
      "",
      "$",
      "$.",
      "$.other.a",
      "$.header..a",
      "$.header[",
      "$.header[*]",
      "$..a",
      "$.header.a b",
    ]) {
      expect(requestPathFrom(text)).toBeUndefined();
    }
  });
});

describe("loopsOf()", () => {
  const category = (id: string, ...services: string[]) => ({
    id,
    routeKeys: [],
    rules: services.map((service) => rule(service, 0, {})),
  });

  test("finds categories that lead back to themselves, directly or through others", () => {
    expect(loopsOf([category("a", "x"), category("b", "a", "y")])).toEqual([]);
    expect(loopsOf([category("a", "a")])).toEqual([["a", "a"]]);
    expect(loopsOf([category("a", "b"), category("b", "c", "x"), category("c", "a")])).toEqual([["a", "b", "c", "a"]]);
  });

  test("is quick where many categories lead to the same ones", () => {
    const layers = Array.from({ length: 40 }, (_, index) => [
      category(`l${index}`, `l${index + 1}`, `r${index + 1}`),
      category(`r${index}`, `l${index + 1}`, `r${index + 1}`),
    ]).flat();
    expect(loopsOf(layers)).toEqual([]);
  });
});
