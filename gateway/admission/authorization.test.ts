import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { authorizationFromText } from "./authorization.ts";

const rest = 'algorithm="hmac-sha256", headers="host date request-line", signature="c2ln"';

describe("authorizationFromText()", () => {
  test("reads every spelling that clients have", () => {
    const read = { key: "k", algorithm: "hmac-sha256", signed: ["host", "date", "request-line"], signature: "c2ln" };
    expect(authorizationFromText(`api_key="k", ${rest}`)).toEqual(read);
    expect(authorizationFromText(`hmac api_key="k", ${rest}`)).toEqual(read);
    expect(authorizationFromText(`hmac username="k", ${rest}`)).toEqual(read);
    expect(
      authorizationFromText(
        `HMAC  signature="c2ln",headers="Host Date Request-Line",algorithm="hmac-sha256",api_key="k"`,
      ),
    ).toEqual(read);
  });

  const bad: readonly string[] = [
    "",
    "hmac",
    `api_key="k"`,
    `api_key="k", username="k", ${rest}`,
    `api_key="k", api_key="other", ${rest}`,
    `api_key="k", ${rest}, more="x"`,
    `api_key="k", ${rest},`,
    `api_key=k, ${rest}`,
    `api_key="k" ${rest}`,
    `Bearer api_key="k", ${rest}`,
    `api_key="k", ${rest.replace('signature="c2ln"', 'signature="c2ln')}`,
    `api_key="${"k".repeat(2048)}", ${rest}`,
    `__proto__="k", ${rest}`,
  ];
  for (const text of bad) {
    test(`takes nothing from ${JSON.stringify(text.slice(0, 60))}`, () => {
      expect(authorizationFromText(text)).toBeUndefined();
    });
  }

  test("gives back what was put in, whatever it was, and never throws", () => {
    const value = fc.string({ minLength: 1, maxLength: 40 }).filter((text) => !text.includes('"'));
    fc.assert(
      fc.property(value, value, fc.string({ maxLength: 80 }), (key, signature, noise) => {
        const text = `api_key="${key}", algorithm="hmac-sha256", headers="host", signature="${signature}"`;
        expect(authorizationFromText(text)).toEqual({ key, algorithm: "hmac-sha256", signed: ["host"], signature });
        authorizationFromText(noise);
        authorizationFromText(text + noise);
        authorizationFromText(text.slice(0, noise.length));
      }),
      { numRuns: 300 },
    );
  });

  test("needs no more time for a long text of quotes and commas than for any other", () => {
    const text = `${'a="",'.repeat(409)}`;
    expect(authorizationFromText(text)).toBeUndefined();
    expect(authorizationFromText(" ".repeat(2047))).toBeUndefined();
  });
});
