import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { admissionSchema } from "../../config/admission.ts";
import { parseConfig } from "../../config/load.ts";
import { readAdmission } from "../../config/read-admission.ts";
import { ServingError } from "../../proto/errors.ts";
import { appFromConfig } from "./app-rights.ts";
import { type Credentials, createCredentials, type Identity } from "./credentials.ts";
import { createMemoryReplays } from "./memory-replays.ts";
import type { SignedRequest } from "./signature.ts";
import { requestOf, signedHeaders, signedUrl } from "./test-signer.ts";
import type { TokenCheck } from "./token.ts";

const apiKey = `ak_00112233aabb_${"a".repeat(43)}`;
const hash = createHash("sha256").update(apiKey).digest("hex");
const signing = { key: "k", secret: "0123456789abcdef", date: "Tue, 03 Jun 2025 08:00:00 GMT", host: "h" };
const at = 1_748_937_600_000;

const tokens: TokenCheck = {
  async senderOf(token) {
    if (token === "known.to.us") return { app: "one", issuer: "i", validUntilMs: at + 60_000 };
    if (token === "known.to.issuer") return { app: "nobody", issuer: "i", validUntilMs: at + 60_000 };
    throw new ServingError("UNAUTHENTICATED", "the token is not a JWT");
  },
  knows: (issuer) => issuer === "i",
  prepare: () => expect.unreachable(),
  [Symbol.dispose]() {},
};

const oneApp = `apps: [{ id: one, services: ["*"], keys: ["00112233aabb:${hash}"], signatureKeys: [{ key: k, secret: 0123456789abcdef }] }]`;

function credentialsOf(text: string, now: () => number, check: TokenCheck = tokens): Credentials {
  const config = readAdmission(parseConfig(text, admissionSchema, "admission"), "/");
  return createCredentials({
    config,
    apps: new Map(config.apps.map((app) => [app.id, appFromConfig(app)])),
    replays: createMemoryReplays(now, config.signature.maxRemembered),
    tokens: check,
    wallClock: now,
  });
}

function start(signature = "{}") {
  let now = at;
  const { identify: check } = credentialsOf(`${oneApp}\nsignature: ${signature}`, () => now);
  return { check, advance: (ms: number) => (now += ms) };
}

async function outcomeOf(promise: Promise<Identity>): Promise<string> {
  return await promise.then(
    ({ app }) => app.id,
    (error: unknown) => (error instanceof ServingError ? `${error.reason} ${error.message}` : String(error)),
  );
}

const withHeaders = (headers: Readonly<Record<string, string>>): SignedRequest => requestOf("POST", "/mmocr", headers);

describe("a request's credential", () => {
  const { check } = start();
  const cases: Readonly<Record<string, [Readonly<Record<string, string>>, string]>> = {
    "an API key as a bearer": [{ authorization: `Bearer ${apiKey}` }, "one"],
    "an API key in a header of its own": [{ "x-api-key": apiKey }, "one"],
    "a token": [{ authorization: "bearer known.to.us" }, "one"],
    "a token of an app that is not configured": [
      { authorization: "Bearer known.to.issuer" },
      "PERMISSION_DENIED the app that the token",
    ],
    "a wrong token": [{ authorization: "Bearer x.y.z" }, "UNAUTHENTICATED the token is not a JWT"],
    "a wrong API key": [{ "x-api-key": `${apiKey.slice(0, -1)}b` }, "UNAUTHENTICATED the API key is wrong"],
    "another scheme": [{ authorization: "Basic b25lOnR3bw==" }, "UNAUTHENTICATED the request carries no API key"],
    nothing: [{}, "UNAUTHENTICATED the request carries no API key"],
    "a proxy's word for it": [
      { "x-consumer-username": "one", "x-forwarded-user": "one" },
      "UNAUTHENTICATED the request carries",
    ],
  };
  for (const [name, [headers, outcome]] of Object.entries(cases)) {
    test(`that is ${name} gives ${outcome.split(" ")[0]}`, async () => {
      expect(await outcomeOf(check(withHeaders(headers)))).toStartWith(outcome);
    });
  }

  test("that is a signature counts before any other", async () => {
    const url = signedUrl({ ...signing, secret: "wrong-wrong-wrong" }).target();
    const both = requestOf("POST", url, { host: "h", "x-api-key": apiKey });
    expect(await outcomeOf(check(both))).toContain("signature is wrong");
  });
});

describe("a signature", () => {
  const used = "UNAUTHENTICATED the signature was used before";

  test("that covers the body holds once", async () => {
    const { check, advance } = start();
    expect(await outcomeOf(check(signedHeaders(signing)))).toBe("one");
    expect(await outcomeOf(check(signedHeaders(signing)))).toBe(used);
    expect(await outcomeOf(check(signedHeaders({ ...signing, body: "another" })))).toBe("one");
    advance(299_000);
    expect(await outcomeOf(check(signedHeaders(signing)))).toBe(used);
    advance(2000);
    expect(await outcomeOf(check(signedHeaders(signing)))).toContain("more than 300 s");
  });

  test("in the URL holds for a second, in which a client signs everything alike, and then no more", async () => {
    const { check, advance } = start();
    for (let i = 0; i < 10; i++) expect(await outcomeOf(check(signedUrl(signing)))).toBe("one");
    advance(999);
    expect(await outcomeOf(check(signedUrl(signing)))).toBe("one");
    advance(1);
    expect(await outcomeOf(check(signedUrl(signing)))).toBe(used);
    expect(await outcomeOf(check(signedUrl({ ...signing, date: "Tue, 03 Jun 2025 08:00:01 GMT" })))).toBe("one");
  });

  test("in the URL holds once, where that is configured", async () => {
    const { check } = start("{ repeatWithinMs: 0 }");
    expect(await outcomeOf(check(signedUrl(signing)))).toBe("one");
    expect(await outcomeOf(check(signedUrl(signing)))).toBe(used);
  });

  test("of the future is remembered until its date is over", async () => {
    const { check, advance } = start();
    const future = { ...signing, date: "Tue, 03 Jun 2025 08:04:59 GMT" };
    expect(await outcomeOf(check(signedHeaders(future)))).toBe("one");
    advance(598_000);
    expect(await outcomeOf(check(signedHeaders(future)))).toBe(used);
    advance(2000);
    expect(await outcomeOf(check(signedHeaders(future)))).toContain("more than 300 s");
  });

  test("that is wrong is not remembered", async () => {
    const { check } = start("{ maxRemembered: 1 }");
    for (let i = 0; i < 5; i++) {
      expect(await outcomeOf(check(signedUrl({ ...signing, secret: `wrong-wrong-wrong-${i}` })))).toContain("is wrong");
    }
    expect(await outcomeOf(check(signedHeaders(signing)))).toBe("one");
    expect(await outcomeOf(check(signedHeaders({ ...signing, body: "x" })))).toStartWith("ADMISSION_UNAVAILABLE");
  });
});

describe("credentials of a later configuration", () => {
  const before = credentialsOf(oneApp, () => at);
  const app = (rest: string, id = "one") => `apps: [{ id: ${id}, services: [echo]${rest} }]`;
  const key = `, keys: ["00112233aabb:${hash}"]`;
  const signature = (secret: string) => `, signatureKeys: [{ key: k, secret: ${secret} }]`;
  const requests: Readonly<Record<string, SignedRequest>> = {
    key: withHeaders({ "x-api-key": apiKey }),
    signature: signedUrl(signing),
    token: withHeaders({ authorization: "Bearer known.to.us" }),
  };
  const gone = "the credential of this connection does not hold any more";

  for (const [name, text, known, check] of [
    ["that has the app and all of its credentials", oneApp, ["key", "signature", "token"]],
    ["that has the key no more", app(signature("0123456789abcdef")), ["signature", "token"]],
    ["that has another secret", app(key + signature("fedcba9876543210")), ["key", "token"]],
    ["that has the app no more", "apps: []", []],
    ["in which the key is another app's", app(key, "two"), []],
    ["that has the issuer no more", oneApp, ["key", "signature"], { ...tokens, knows: () => false }],
  ] as const) {
    test(`know who was known before, ${name}`, async () => {
      const after = credentialsOf(text, () => at, check);
      for (const [kind, request] of Object.entries(requests)) {
        const identity = await before.identify(request);
        if (known.some((one) => one === kind)) expect(after.appOf(identity)).toMatchObject({ id: "one" });
        else expect(() => after.appOf(identity)).toThrow(gone);
      }
    });
  }

  test("know a token until it is over", async () => {
    let now = at;
    const { identify, appOf } = credentialsOf(oneApp, () => now);
    const identity = await identify(requests.token ?? expect.unreachable());
    now = at + 59_999;
    expect(appOf(identity).id).toBe("one");
    now = at + 60_000;
    expect(() => appOf(identity)).toThrow("the token of this connection has expired");
  });

  test("give the rights that the app has now", async () => {
    const identity = await before.identify(requests.key ?? expect.unreachable());
    const after = credentialsOf(app(key), () => at);
    expect([identity.app.mayCall("mmocr"), after.appOf(identity).mayCall("mmocr")]).toEqual([true, false]);
  });
});
