import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import type { TokenIssuer } from "../../config/read-admission.ts";
import { ServingError } from "../../proto/errors.ts";
import { createTokenCheck, type TokenCheck } from "./token.ts";

interface Signer {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
  readonly alg: string;
}

async function createSigner(alg: string, kid: string): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { privateKey, alg, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
}

let rsa: Signer;
let elliptic: Signer;
let stranger: Signer;

beforeAll(async () => {
  [rsa, elliptic, stranger] = await Promise.all([
    createSigner("RS256", "one"),
    createSigner("ES256", "two"),
    createSigner("RS256", "one"),
  ]);
});

const issuerName = "https://id.example.com";

const issuerWith = (changes: Partial<TokenIssuer>): TokenIssuer => ({
  issuer: issuerName,
  audience: "athena",
  algorithms: ["RS256", "ES256"],
  appClaim: "azp",
  refreshMs: 300_000,
  maxAgeMs: 3_600_000,
  timeoutMs: 2000,
  jwks: undefined,
  ...changes,
});

/** A token that holds, with changes. */
async function tokenBy(signer: Signer, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) {
  const seconds = Math.floor(Date.now() / 1000);
  return await new SignJWT({ iss: issuerName, aud: "athena", azp: "app", exp: seconds + 60, ...claims })
    .setProtectedHeader({ alg: signer.alg, kid: signer.jwk.kid ?? "", ...header })
    .sign(signer.privateKey);
}

async function appOf(check: TokenCheck, token: string): Promise<string> {
  return (await check.senderOf(token)).app;
}

/** What refuses a token, as "REASON message". */
async function refusalOf(check: TokenCheck, token: string): Promise<string> {
  return await appOf(check, token).then(
    (app) => `not refused: ${app}`,
    (error: unknown) => (error instanceof ServingError ? `${error.reason} ${error.message}` : String(error)),
  );
}

const started: { stop(): void }[] = [];
const failures: unknown[] = [];

afterEach(() => {
  for (const one of started.splice(0)) one.stop();
  failures.length = 0;
});

function start(issuers: readonly TokenIssuer[], now = () => 0): TokenCheck {
  const check = createTokenCheck(issuers, { now, onFailedFetch: (_, error) => failures.push(error) });
  started.push({ stop: () => check[Symbol.dispose]() });
  return check;
}

const fromFile = () => start([issuerWith({ jwks: JSON.stringify({ keys: [rsa.jwk, elliptic.jwk] }) })]);

/** Serves a key set, or whatever `answer` gives, and counts how often it is asked. */
function serveKeys(answer: () => Response | Promise<Response>) {
  let asked = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch() {
      asked += 1;
      return answer();
    },
  });
  const stop = () => server.stop(true);
  started.push({ stop: () => void stop() });
  return { url: `http://127.0.0.1:${server.port}/keys`, asked: () => asked, stop };
}

describe("a token", () => {
  test("names its app, signed with any key of its issuer", async () => {
    const check = fromFile();
    expect(await appOf(check, await tokenBy(rsa))).toBe("app");
    expect(await appOf(check, await tokenBy(elliptic, { azp: "other" }))).toBe("other");
  });

  const refused: Record<string, [() => Promise<string>, string]> = {
    "of another issuer": [() => tokenBy(rsa, { iss: "https://evil.example.com" }), "no issuer that is known"],
    "without an issuer": [() => tokenBy(rsa, { iss: undefined }), "no issuer that is known"],
    "for another audience": [() => tokenBy(rsa, { aud: "elsewhere" }), "claim 'aud'"],
    "that has expired": [() => tokenBy(rsa, { exp: 1_700_000_000 }), "has expired"],
    "that never expires": [() => tokenBy(rsa, { exp: undefined }), "claim 'exp'"],
    "that is not valid yet": [() => tokenBy(rsa, { nbf: Math.floor(Date.now() / 1000) + 3600 }), "claim 'nbf'"],
    "signed with a key of the same name that is another": [() => tokenBy(stranger), "signature of the token is wrong"],
    "signed with a key that is not published": [() => tokenBy(rsa, {}, { kid: "three" }), "does not publish"],
    "without its app": [() => tokenBy(rsa, { azp: undefined }), "claim 'azp'"],
    "whose app is no text": [() => tokenBy(rsa, { azp: ["app"] }), "claim 'azp'"],
    "that is none": [async () => "a.b.c", "not a JWT"],
    "that is empty": [async () => "", "not a JWT"],
  };
  for (const [name, [make, message]] of Object.entries(refused)) {
    test(`is refused ${name}`, async () => {
      const refusal = await refusalOf(fromFile(), await make());
      expect(refusal).toStartWith("UNAUTHENTICATED ");
      expect(refusal).toContain(message);
    });
  }

  test("is refused when its algorithm is none, or one that is not allowed", async () => {
    const check = start([
      issuerWith({ algorithms: ["ES256"], jwks: JSON.stringify({ keys: [rsa.jwk, elliptic.jwk] }) }),
    ]);
    expect(await refusalOf(check, await tokenBy(rsa))).toContain("algorithm of the token is not allowed");
    const [, body] = (await tokenBy(elliptic)).split(".");
    const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${body}.`;
    expect(await refusalOf(check, none)).toContain("UNAUTHENTICATED");
    // The public key of an issuer is no shared secret.
    const hmac = await new SignJWT({
      iss: issuerName,
      aud: "athena",
      azp: "app",
      exp: Math.floor(Date.now() / 1000) + 60,
    })
      .setProtectedHeader({ alg: "HS256", kid: "one" })
      .sign(new TextEncoder().encode(JSON.stringify(rsa.jwk)));
    expect(await refusalOf(fromFile(), hmac)).toContain("algorithm of the token is not allowed");
  });

  test("makes nobody fetch the keys that it names itself", async () => {
    const own = serveKeys(() => Response.json({ keys: [stranger.jwk] }));
    const token = await tokenBy(stranger, {}, { jku: own.url, x5u: own.url, jwk: stranger.jwk });
    expect(await refusalOf(fromFile(), token)).toContain("signature of the token is wrong");
    expect(own.asked()).toBe(0);
  });
});

describe("the keys of an issuer", () => {
  test("are fetched once for many tokens", async () => {
    const keys = serveKeys(() => Response.json({ keys: [rsa.jwk] }));
    const check = start([issuerWith({ jwksUrl: keys.url })]);
    const token = await tokenBy(rsa);
    expect(await Promise.all(Array.from({ length: 20 }, () => appOf(check, token)))).toEqual(Array(20).fill("app"));
    expect(keys.asked()).toBe(1);
  });

  test("are not fetched anew for each token with a key that nobody knows", async () => {
    const keys = serveKeys(() => Response.json({ keys: [rsa.jwk] }));
    const check = start([issuerWith({ jwksUrl: keys.url })]);
    await appOf(check, await tokenBy(rsa));
    for (let i = 0; i < 5; i++) {
      expect(await refusalOf(check, await tokenBy(rsa, {}, { kid: `unknown-${i}` }))).toContain("does not publish");
    }
    expect(keys.asked()).toBe(1);
  });

  const broken: Record<string, () => Response | Promise<Response>> = {
    "an error": () => new Response("no", { status: 500 }),
    "a redirect": () => Response.redirect("http://127.0.0.1:1/"),
    "what is no key set": () => Response.json({ hello: true }),
    "what is not JSON": () => new Response("<html>"),
    "more than a key set can be": () => new Response(new Uint8Array(2_000_000)),
    nothing: () => new Promise<Response>(() => {}),
  };
  for (const [name, answer] of Object.entries(broken)) {
    test(`leave a token unjudged while their server answers with ${name}`, async () => {
      const keys = serveKeys(answer);
      const check = start([issuerWith({ jwksUrl: keys.url, timeoutMs: 100 })]);
      expect(await refusalOf(check, await tokenBy(rsa))).toStartWith(
        "ADMISSION_UNAVAILABLE the keys of the token's issuer",
      );
    });
  }

  test("are asked for again after a pause, not by every token that comes meanwhile", async () => {
    let now = 0;
    let isBroken = true;
    const keys = serveKeys(() => (isBroken ? new Response("no", { status: 500 }) : Response.json({ keys: [rsa.jwk] })));
    const check = start([issuerWith({ jwksUrl: keys.url })], () => now);
    const token = await tokenBy(rsa);
    for (let i = 0; i < 5; i++) expect(await refusalOf(check, token)).toStartWith("ADMISSION_UNAVAILABLE");
    expect(keys.asked()).toBe(1);
    isBroken = false;
    now = 1000;
    expect(await appOf(check, token)).toBe("app");
    expect(failures).toHaveLength(1);
  });

  test("of one issuer do not hold for another", async () => {
    const check = start([
      issuerWith({ jwks: JSON.stringify({ keys: [rsa.jwk] }) }),
      issuerWith({ issuer: "https://two.example.com", jwks: JSON.stringify({ keys: [elliptic.jwk] }) }),
    ]);
    expect(await appOf(check, await tokenBy(elliptic, { iss: "https://two.example.com" }))).toBe("app");
    expect(await refusalOf(check, await tokenBy(elliptic))).toContain("does not publish");
  });

  test("change with their issuers, and stay where they come from the same place", async () => {
    let isUp = true;
    const keys = serveKeys(() => (isUp ? Response.json({ keys: [rsa.jwk] }) : new Response("no", { status: 500 })));
    const file = issuerWith({ issuer: "https://two.example.com", jwks: JSON.stringify({ keys: [elliptic.jwk] }) });
    const check = start([issuerWith({ jwksUrl: keys.url }), file]);
    const token = await tokenBy(rsa);
    const other = await tokenBy(elliptic, { iss: "https://two.example.com" });
    expect(await appOf(check, token)).toBe("app");
    isUp = false;
    {
      // What is not taken changes nothing.
      using _ = await check.prepare([]);
    }
    expect([await appOf(check, token), await appOf(check, other)]).toEqual(["app", "app"]);
    {
      using next = await check.prepare([issuerWith({ jwksUrl: keys.url, appClaim: "sub" })]);
      next.takeOver();
    }
    expect(await appOf(check, await tokenBy(rsa, { sub: "renamed" }))).toBe("renamed");
    expect(await refusalOf(check, other)).toContain("no issuer that is known");
    expect([check.knows(issuerName), check.knows("https://two.example.com")]).toEqual([true, false]);
    // The new issuer asks in the background.
    while (failures.length === 0) await Bun.sleep(1);
    expect(failures).toHaveLength(1);
  });

  test("of a new issuer are there when it takes over", async () => {
    const keys = serveKeys(() => Response.json({ keys: [rsa.jwk] }));
    const check = start([]);
    using next = await check.prepare([issuerWith({ jwksUrl: keys.url })]);
    expect([keys.asked(), check.knows(issuerName)]).toEqual([1, false]);
    next.takeOver();
    await keys.stop();
    expect(await appOf(check, await tokenBy(rsa))).toBe("app");
  });
});
