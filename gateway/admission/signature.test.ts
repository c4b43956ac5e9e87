import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../proto/errors.ts";
import { assertDigest, checkSignature, isSigned, type SignatureRules, type SignedRequest } from "./signature.ts";
import { requestOf, signedHeaders, signedUrl, type ToSign } from "./test-signer.ts";

// Made with Python's hmac and, the first, with openssl as well.
const secret = "c2VjcmV0LW9mLWEtdGVzdC0wMDAx";
const vectors = {
  post: "7wkz+sx1r5eDh9TtUspVe0iUbVn8DpBUlxPVYYnJuFc=",
  get: "OuxI30FA8wmBHbjPBgeZmpdyN6QCYGwZ3yLtq+ZhoPQ=",
  digest: "SHA-256=YUSMgdgc4Ziu4wXNknzSbUklUq70W7IEONhqN5ddEjk=",
  headers: "7aekkFOUgiz7P8wy66CB4dyHSphiB24Ytm9gsGom8kQ=",
  body: '{"header":{"app_id":"123456"}}',
};
const key = "7f9c24e5a1b04d3c";
const host = "api.example.com";
const date = "Tue, 03 Jun 2025 08:00:00 UTC";
const at = 1_748_937_600_000;
const toSign: ToSign = { key, secret, date, host };

const keys = new Map([[key, { secret, owner: "app" }]]);
const rules: SignatureRules = { clockWindowMs: 300_000, hosts: [], requireDigest: false };

const check = (request: SignedRequest, changes: Partial<SignatureRules> = {}, now = at) =>
  checkSignature(request, keys, { ...rules, ...changes }, now);

/** The message with which a request is refused. */
function refusalOf(request: SignedRequest, changes: Partial<SignatureRules> = {}, now = at): string {
  try {
    check(request, changes, now);
  } catch (error) {
    if (error instanceof ServingError && error.reason === "UNAUTHENTICATED") return error.message;
    throw error;
  }
  return "not refused";
}

/** A request whose URL carries these values. */
function urlWith(authorization: string, query: Readonly<Record<string, string>> = {}, method = "POST"): SignedRequest {
  const all = new URLSearchParams({
    authorization: Buffer.from(authorization).toString("base64"),
    date,
    host,
    ...query,
  });
  return requestOf(method, `/v1/private/mmocr?${all}`, { host });
}

const authorizationOf = (signature: string, signed = "host date request-line") =>
  `api_key="${key}", algorithm="hmac-sha256", headers="${signed}", signature="${signature}"`;

describe("a signature in the URL", () => {
  test("holds for a POST and for the GET of a WebSocket, as other programs computed it", () => {
    expect(check(urlWith(authorizationOf(vectors.post)))).toMatchObject({
      owner: "app",
      key,
      signedAtMs: at,
      digest: undefined,
    });
    expect(check(urlWith(authorizationOf(vectors.get), {}, "GET")).owner).toBe("app");
  });

  test("does not hold for another method, path, host, date, key or secret", () => {
    const wrong = "the API key or the signature is wrong";
    expect(refusalOf(urlWith(authorizationOf(vectors.post), {}, "GET"))).toBe(wrong);
    const moved = signedUrl(toSign).target().replace("mmocr", "other");
    expect(refusalOf(requestOf("POST", moved, { host }))).toBe(wrong);
    expect(refusalOf(urlWith(authorizationOf(vectors.post), { date: "Tue, 03 Jun 2025 08:00:01 UTC" }))).toBe(wrong);
    expect(refusalOf(signedUrl({ ...toSign, secret: "another-secret-16" }))).toBe(wrong);
    expect(refusalOf(signedUrl({ ...toSign, key: "nobody" }))).toBe(wrong);
    expect(refusalOf(signedUrl({ ...toSign, key: "nobody", secret: "no such key" }))).toBe(wrong);
  });

  test("holds for the host of the request, with or without its port, and for hosts of the configuration", () => {
    const elsewhere = (signed: string, own: string) =>
      requestOf("POST", signedUrl({ ...toSign, host: signed }).target(), { host: own });
    expect(check(elsewhere("10.0.0.1:30889", "10.0.0.1:30889")).owner).toBe("app");
    expect(check(elsewhere("API.example.com", "api.example.com:30889")).owner).toBe("app");
    expect(refusalOf(elsewhere("api.example.com", "10.0.0.1:30889"))).toBe("the host of the signature is not this one");
    expect(check(elsewhere("api.example.com", "10.0.0.1:30889"), { hosts: ["api.example.com"] }).owner).toBe("app");
    expect(refusalOf(urlWith(authorizationOf(vectors.post), { host: "" }))).toBe(
      "the host of the signature is not this one",
    );
  });

  test("is read in every spelling of the key's name", () => {
    expect(check(signedUrl({ ...toSign, keyName: "hmac username" })).owner).toBe("app");
    expect(check(signedUrl({ ...toSign, keyName: "hmac api_key" })).owner).toBe("app");
  });
});

describe("a signature in the headers", () => {
  const headers = (signature: string) => ({
    host,
    date: date.replace("UTC", "GMT"),
    digest: vectors.digest,
    authorization: `hmac ${authorizationOf(signature, "host date request-line digest")}`,
  });

  test("holds, as another program computed it, and tells what the body must be", () => {
    const { owner, digest } = check(requestOf("POST", "/v1/private/mmocr", headers(vectors.headers)));
    expect(owner).toBe("app");
    assertDigest(digest ?? "", vectors.body);
    assertDigest(digest ?? "", new TextEncoder().encode(vectors.body));
    expect(() => assertDigest(digest ?? "", `${vectors.body} `)).toThrow("not the one that was signed");
  });

  test("does not hold for another digest, nor without one", () => {
    const wrong = { ...headers(vectors.headers), digest: `SHA-256=${"A".repeat(43)}=` };
    expect(refusalOf(requestOf("POST", "/v1/private/mmocr", wrong))).toContain("signature is wrong");
    const none = { ...headers(vectors.headers), digest: "" };
    expect(refusalOf(requestOf("POST", "/v1/private/mmocr", none))).toContain("there is no such header");
  });

  test("may cover the query, which the URL's form cannot", () => {
    const plain = signedHeaders(toSign);
    expect(check(requestOf("POST", "/v1/private/mmocr?x=1", headersOf(plain))).owner).toBe("app");
    const whole = signedHeaders({ ...toSign, path: "/v1/private/mmocr?x=1" });
    expect(check(whole).owner).toBe("app");
    expect(refusalOf(requestOf("POST", "/v1/private/mmocr?x=2", headersOf(whole)))).toContain("signature is wrong");
  });
});

function headersOf(request: SignedRequest): Record<string, string> {
  return Object.fromEntries(
    ["host", "date", "digest", "authorization"].map((name) => [name, request.header(name) ?? ""]),
  );
}

describe("the date of a signature", () => {
  test("may be as far from the clock as the window, and no further, on either side", () => {
    for (const far of [300_000, -300_000]) {
      expect(check(signedUrl(toSign), {}, at + far).owner).toBe("app");
      expect(refusalOf(signedUrl(toSign), {}, at + far + Math.sign(far))).toContain("more than 300 s");
    }
  });

  for (const bad of [
    "",
    "2025-06-03T08:00:00Z",
    "1748937600",
    "Tue, 03 Jun 2025 08:00:00 +0100",
    "Tue, 03 Xxx 2025 08:00:00 GMT",
  ]) {
    test(`is not ${JSON.stringify(bad)}`, () => {
      expect(refusalOf(signedUrl({ ...toSign, date: bad }))).toContain("must be like");
    });
  }
});

describe("what is signed", () => {
  const cases = {
    "another algorithm": [authorizationOf("x").replace("hmac-sha256", "hmac-sha1"), "must be hmac-sha256"],
    "no request line": [authorizationOf(vectors.post, "host date"), "must cover"],
    "no host": [authorizationOf(vectors.post, "date request-line"), "must cover"],
    "a header that is not known": [authorizationOf(vectors.post, "host date request-line x-more"), "must cover"],
    "a header twice": [authorizationOf(vectors.post, "host date request-line date"), "must cover"],
    "a signature of the wrong length": [authorizationOf("c2hvcnQ="), "signature is wrong"],
    "a signature that is not base64": [authorizationOf("%%%"), "signature is wrong"],
    "an authorization that is none": ["hello", "must be api_key"],
  } as const;
  for (const [name, [authorization, message]] of Object.entries(cases)) {
    test(`is refused with ${name}`, () => {
      expect(refusalOf(urlWith(authorization))).toContain(message);
    });
  }

  test("has to cover the body where the configuration asks for it", () => {
    expect(refusalOf(signedUrl(toSign), { requireDigest: true })).toBe("the signature must cover 'digest'");
    expect(check(signedHeaders(toSign), { requireDigest: true }).owner).toBe("app");
  });

  test("has one id, however its base64 is written", () => {
    const spaced = authorizationOf(vectors.post.replace("+", "+ "));
    expect(check(urlWith(spaced)).id).toBe(check(urlWith(authorizationOf(vectors.post))).id);
  });
});

test("isSigned() tells signatures from other credentials", () => {
  expect(isSigned(signedUrl(toSign))).toBe(true);
  expect(isSigned(signedHeaders(toSign))).toBe(true);
  expect(isSigned(requestOf("POST", "/mmocr", { authorization: "Bearer x" }))).toBe(false);
  expect(isSigned(requestOf("POST", "/authorization=/mmocr", {}))).toBe(false);
});

describe("whatever is sent", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 60, unit: "binary" }),
    fc.constantFrom(
      authorizationOf(vectors.post),
      `hmac ${authorizationOf(vectors.headers, "host date request-line digest")}`,
      date,
      host,
      vectors.digest,
    ),
  );

  test("is answered with an app or with UNAUTHENTICATED, never with another error", () => {
    const request = fc.record({
      method: fc.constantFrom("GET", "POST"),
      query: fc.dictionary(fc.constantFrom("authorization", "date", "host", "x"), text),
      headers: fc.dictionary(fc.constantFrom("authorization", "date", "host", "digest"), text),
      inBase64: fc.boolean(),
    });
    fc.assert(
      fc.property(request, ({ method, query, headers, inBase64 }) => {
        const { authorization } = query;
        if (inBase64 && authorization !== undefined)
          query.authorization = Buffer.from(authorization).toString("base64");
        refusalOf(requestOf(method, `/v1/private/mmocr?${new URLSearchParams(query)}`, headers));
      }),
      { numRuns: 500 },
    );
  });

  test("does not hold with any one character of what is signed changed", () => {
    const whole = headersOf(signedHeaders(toSign));
    // The scheme and the key's name are not signed, nor is the case of the host.
    const signed = ["date", "digest", "authorization"];
    fc.assert(
      fc.property(
        fc.constantFrom(...signed),
        fc.nat(1000),
        fc.constantFrom(...'aZ09=+/" ,'),
        (name, place, character) => {
          const value = whole[name] ?? "";
          const from = name === "authorization" ? value.indexOf('api_key="') + 9 : 0;
          const index = from + (place % (value.length - from));
          const changed = value.slice(0, index) + character + value.slice(index + 1);
          const read = (authorization: string) => authorization.replaceAll(/\s|,/g, "").toLowerCase();
          const isSame = name === "authorization" ? read(changed) === read(value) : changed === value;
          if (isSame) return;
          expect(refusalOf(requestOf("POST", "/v1/private/mmocr", { ...whole, [name]: changed }))).not.toBe(
            "not refused",
          );
        },
      ),
      { numRuns: 500 },
    );
  });

  test("does not hold without the padding of its base64", () => {
    const headers = headersOf(signedHeaders(toSign));
    const authorization = (headers.authorization ?? "").replace(
      /=+"$/,
      (padding) => `${" ".repeat(padding.length - 1)}"`,
    );
    expect(authorization).not.toBe(headers.authorization ?? "");
    expect(refusalOf(requestOf("POST", "/v1/private/mmocr", { ...headers, authorization }))).not.toBe("not refused");
  });
});
