import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { appFromConfig } from "./app-rights.ts";

const appWith = (services: readonly string[], limits = {}, modelControl = false) =>
  appFromConfig({ id: "a", services, modelControl, keys: [], signatureKeys: [], limits });

describe("an app", () => {
  test("may call what its list names, with '*' for any run of characters", () => {
    const app = appWith(["mmocr", "asr-*", "*.test.*.v1"]);
    expect(["mmocr", "asr-", "asr-zh", "x.test.y.v1", ".test..v1"].filter((id) => !app.mayCall(id))).toEqual([]);
    expect(["mmocr2", "MMOCR", "asr", "x.test.v1", ".test.v1", ""].filter((id) => app.mayCall(id))).toEqual([]);
    expect(appWith(["*"]).mayCall("anything")).toBe(true);
  });

  test("may load and unload what it may call, if it may at all", () => {
    expect(appWith(["mmocr"]).mayControl("mmocr")).toBe(false);
    const operator = appWith(["mmocr"], {}, true);
    expect([operator.mayControl("mmocr"), operator.mayControl("echo")]).toEqual([true, false]);
  });

  test("may call exactly what a regular expression of its pattern matches", () => {
    const unit = fc.constantFrom("a", "b", "*");
    fc.assert(
      fc.property(
        fc.string({ unit, minLength: 1, maxLength: 8 }),
        fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 }),
        (pattern, id) => {
          const expression = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
          expect(appWith([pattern]).mayCall(id)).toBe(expression.test(id));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("has a burst of one second, and of one request at least, where none is named", () => {
    expect(appWith(["*"], { requestsPerSecond: 20 }).requests).toEqual({ intervalMs: 50, toleranceMs: 1000 });
    expect(appWith(["*"], { requestsPerSecond: 0.5 }).requests).toEqual({ intervalMs: 2000, toleranceMs: 2000 });
    expect(appWith(["*"], { bytesPerSecond: 1000, byteBurst: 500 }).bytes).toEqual({ intervalMs: 1, toleranceMs: 500 });
    expect(appWith(["*"]).requests).toBeUndefined();
  });
});
