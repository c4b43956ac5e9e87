import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { ServingError } from "../../proto/errors.ts";
import { type Authorization, authorizationFromText } from "./authorization.ts";

/** A request as its signature sees it: an HTTP request or the upgrade of a WebSocket. */
export interface SignedRequest {
  readonly method: string;
  /** Path and query, as they stand in the request line. */
  target(): string;
  header(name: string): string | null;
}

/** One credential: the secret half, and whose it is. */
export interface SignatureKey<Owner> {
  readonly secret: string;
  readonly owner: Owner;
}

/** How signatures are judged. */
export interface SignatureRules {
  readonly clockWindowMs: number;
  /** Hosts, in lower case, that clients may sign beside the one that the request names. */
  readonly hosts: readonly string[];
  /** Refuses signatures that do not cover the body. */
  readonly requireDigest: boolean;
}

/** A signature that is right. What it does not tell: whether it was used before, and whether the body is the signed one. */
export interface Signature<Owner> {
  readonly owner: Owner;
  readonly key: string;
  /** The same for every spelling of one signature. */
  readonly id: string;
  /** The date that was signed, in milliseconds since 1970. */
  readonly signedAtMs: number;
  /** The `Digest` that was signed, for {@link assertDigest}; undefined where the body is not covered. */
  readonly digest: string | undefined;
}

/** Whether a request carries a signature, right or wrong: in its URL, or as the scheme `hmac` of its header. */
export function isSigned(request: SignedRequest): boolean {
  return /^\s*hmac\s/i.test(request.header("authorization") ?? "") || /[?&]authorization=/.test(request.target());
}

/**
 * Checks ASF's signature, HMAC-SHA256 over `host`, `date` and the request line, and over `digest` where the client
 * signed the body. It stands in the URL (`?authorization=&date=&host=`, the authorization in base64) or in the headers
 * `Authorization`, `Date`, `Host` and `Digest`. `nowMs` is since 1970.
 *
 * @throws ServingError UNAUTHENTICATED; the message says what is wrong and is the same for a wrong key and a wrong
 * signature.
 */
export function checkSignature<Owner>(
  request: SignedRequest,
  keys: ReadonlyMap<string, SignatureKey<Owner>>,
  rules: SignatureRules,
  nowMs: number,
): Signature<Owner> {
  const claim = claimFrom(request);
  const signedAtMs = assertDate(claim.date, rules.clockWindowMs, nowMs);
  assertSigned(claim, rules);
  const key = keys.get(claim.authorization.key);
  const given = bytesOf(claim.authorization.signature);
  const right = textsToSign(request, claim, rules)
    .map((text) => hmac(key?.secret ?? "no such key", text))
    .find((expected) => given !== undefined && timingSafeEqual(expected, given));
  if (key === undefined || right === undefined) throw refused("the API key or the signature is wrong");
  return {
    owner: key.owner,
    key: claim.authorization.key,
    id: right.toString("base64"),
    signedAtMs,
    digest: claim.authorization.signed.includes("digest") ? claim.digest : undefined,
  };
}

/**
 * Checks that a body is the one that was signed; `digest` is what {@link checkSignature} gave.
 *
 * @throws ServingError UNAUTHENTICATED.
 */
export function assertDigest(digest: string, body: string | Uint8Array): void {
  if (digest !== `SHA-256=${createHash("sha256").update(body).digest("base64")}`) {
    throw refused("the body is not the one that was signed: its SHA-256 differs from 'digest'");
  }
}

/** What a request says of its signature. */
interface Claim {
  readonly authorization: Authorization;
  readonly date: string;
  /** The host that the URL says was signed; in the header form the client signed the one that it sent. */
  readonly host: string | undefined;
  readonly digest: string;
}

function claimFrom(request: SignedRequest): Claim {
  const target = request.target();
  const at = target.indexOf("?");
  const query = new URLSearchParams(at === -1 ? "" : target.slice(at + 1));
  const inQuery = query.get("authorization");
  const text = inQuery === null ? request.header("authorization") : textFromBase64(inQuery);
  const authorization = authorizationFromText(text ?? "");
  if (authorization === undefined) {
    throw refused(
      'the authorization of a signature must be api_key="…", algorithm="…", headers="…", signature="…", in the URL in base64',
    );
  }
  const host = inQuery === null ? undefined : (query.get("host") ?? "");
  const date = (inQuery === null ? request.header("date") : query.get("date")) ?? "";
  return { authorization, date, host, digest: request.header("digest") ?? "" };
}

const datePattern = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} (GMT|UTC)$/;

function assertDate(date: string, windowMs: number, nowMs: number): number {
  const signedAtMs = datePattern.test(date) ? Date.parse(date) : Number.NaN;
  if (Number.isNaN(signedAtMs)) {
    throw refused("the date of the signature must be like 'Tue, 03 Jun 2025 08:00:00 GMT'");
  }
  if (Math.abs(nowMs - signedAtMs) > windowMs) {
    throw refused(`the date of the signature is more than ${windowMs / 1000} s from the gateway's clock`);
  }
  return signedAtMs;
}

const signable: readonly string[] = ["host", "date", "request-line", "digest"];

function assertSigned({ authorization, digest }: Claim, rules: SignatureRules): void {
  const { algorithm, signed } = authorization;
  if (algorithm !== "hmac-sha256") throw refused("the algorithm of the signature must be hmac-sha256");
  const isComplete = signable.slice(0, 3).every((name) => signed.includes(name));
  if (!isComplete || new Set(signed).size !== signed.length || signed.some((name) => !signable.includes(name))) {
    throw refused("the signature must cover 'host date request-line', and may cover 'digest'");
  }
  if (rules.requireDigest && !signed.includes("digest")) throw refused("the signature must cover 'digest'");
  if (signed.includes("digest") && digest === "")
    throw refused("the signature covers 'digest', but there is no such header");
}

/**
 * The texts of which one has to be signed: one for each host that may be meant. In the header form the client may have
 * signed the query as well; in the URL form it cannot, since the signature is in it.
 */
function textsToSign(request: SignedRequest, claim: Claim, rules: SignatureRules): readonly string[] {
  const own = request.header("host") ?? "";
  const hosts = [own, own.replace(/:\d+$/, ""), ...rules.hosts];
  const target = request.target();
  const path = target.split("?", 1)[0] ?? "";
  if (claim.host !== undefined) {
    const meant = claim.host.toLowerCase();
    if (!hosts.some((host) => host.toLowerCase() === meant)) throw refused("the host of the signature is not this one");
    return [textToSign(request.method, path, claim.host, claim)];
  }
  const texts = new Set<string>();
  for (const host of hosts) {
    texts.add(textToSign(request.method, path, host, claim));
    texts.add(textToSign(request.method, target, host, claim));
  }
  return [...texts];
}

function textToSign(method: string, path: string, host: string, claim: Claim): string {
  return claim.authorization.signed
    .map((name) => {
      if (name === "request-line") return `${method} ${path} HTTP/1.1`;
      return `${name}: ${name === "host" ? host : name === "date" ? claim.date : claim.digest}`;
    })
    .join("\n");
}

function hmac(secret: string, text: string): Buffer {
  return createHmac("sha256", secret).update(text).digest();
}

/** The 32 bytes of a signature; undefined for anything else. */
function bytesOf(base64: string): Uint8Array | undefined {
  try {
    const bytes = Uint8Array.fromBase64(base64, { lastChunkHandling: "strict" });
    return bytes.length === 32 ? bytes : undefined;
  } catch {
    return undefined;
  }
}

function textFromBase64(base64: string): string | undefined {
  try {
    return new TextDecoder().decode(Uint8Array.fromBase64(base64));
  } catch {
    return undefined;
  }
}

function refused(message: string): ServingError {
  return new ServingError("UNAUTHENTICATED", message);
}
