import { isDeepStrictEqual } from "node:util";
import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { TokenIssuer } from "../../config/read-admission.ts";
import { ServingError } from "../../proto/errors.ts";
import { createKeySet, type KeySet, type KeySetEnvironment } from "./key-set.ts";

/** Checks tokens of the configured issuers. */
export interface TokenCheck extends Disposable {
  /**
   * Gives the app that a token names, as its claim spells it, and who says so.
   *
   * @throws ServingError UNAUTHENTICATED for a token that does not hold; ADMISSION_UNAVAILABLE while its issuer's keys
   * cannot be had.
   */
  senderOf(token: string): Promise<TokenSender>;
  /** Whether an issuer is one of those that are configured. */
  knows(issuer: string): boolean;
  /**
   * Gets ready for other issuers, and asks for their keys, while those of now hold. An issuer whose keys come from where
   * they came before keeps them.
   */
  prepare(issuers: readonly TokenIssuer[]): Promise<PreparedIssuers>;
}

/** Issuers that may take over. Disposing of them ends what they do not need, whether they took over or not. */
export interface PreparedIssuers extends Disposable {
  takeOver(): void;
}

/** Whom a token speaks for. */
export interface TokenSender {
  readonly app: string;
  readonly issuer: string;
  /** When the token is over, the tolerance for clocks included, in milliseconds since 1970. */
  readonly validUntilMs: number;
}

/** How far an issuer's clock may be from ours. */
const clockToleranceSeconds = 30;

/** One issuer at work. */
interface KnownIssuer {
  readonly issuer: TokenIssuer;
  readonly keys: KeySet;
}

/**
 * Builds the check of signed tokens (JWT). A token chooses among the configured issuers by its `iss` and nothing else:
 * keys or addresses that it names itself (`jwk`, `jku`, `x5u`) are not looked at.
 *
 * @throws Error when a key set of a file is none.
 */
export function createTokenCheck(issuers: readonly TokenIssuer[], environment: KeySetEnvironment): TokenCheck {
  const begin = (issuer: TokenIssuer, before?: KnownIssuer): KnownIssuer => {
    if (before !== undefined && isDeepStrictEqual(before.issuer, issuer)) return before;
    const known = before?.issuer.jwksUrl === issuer.jwksUrl ? before?.keys : undefined;
    return { issuer, keys: createKeySet(issuer, environment, known) };
  };
  let byName = new Map(issuers.map((issuer) => [issuer.issuer, begin(issuer)]));
  return {
    async senderOf(token) {
      const name = issuerOf(token);
      const known = byName.get(name);
      if (known === undefined) throw refused("the token is of no issuer that is known here");
      const { exp = 0, ...claims } = await verified(token, known.issuer, known.keys.find);
      const app = claims[known.issuer.appClaim];
      if (typeof app !== "string" || app === "") {
        throw refused(`the token has no text in its claim '${known.issuer.appClaim}', which names the app`);
      }
      return { app, issuer: name, validUntilMs: (exp + clockToleranceSeconds) * 1000 };
    },
    knows: (issuer) => byName.has(issuer),
    async prepare(others) {
      const next = new Map(others.map((issuer) => [issuer.issuer, begin(issuer, byName.get(issuer.issuer))]));
      await Promise.all([...next.values()].map(({ keys }) => keys.ready));
      let useless = next;
      return {
        takeOver() {
          useless = byName;
          byName = next;
        },
        [Symbol.dispose]() {
          const inUse = new Set(byName.values());
          for (const one of useless.values()) if (!inUse.has(one)) one.keys[Symbol.dispose]();
        },
      };
    },
    [Symbol.dispose]() {
      for (const { keys } of byName.values()) keys[Symbol.dispose]();
    },
  };
}

function issuerOf(token: string): string {
  try {
    return decodeJwt(token).iss ?? "";
  } catch (error) {
    throw refused("the token is not a JWT", error);
  }
}

async function verified(token: string, issuer: TokenIssuer, find: JWTVerifyGetKey): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, find, {
      issuer: issuer.issuer,
      audience: issuer.audience,
      algorithms: [...issuer.algorithms],
      clockTolerance: clockToleranceSeconds,
      requiredClaims: ["exp"],
    });
    return payload;
  } catch (error) {
    if (error instanceof ServingError) throw error;
    throw refused(mistakeOf(error), error);
  }
}

function mistakeOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "the token has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return `the claim '${error.claim}' of the token does not hold`;
  if (error instanceof errors.JOSEAlgNotAllowed) return "the algorithm of the token is not allowed";
  if (error instanceof errors.JWKSMultipleMatchingKeys)
    return "the token does not say which key it is signed with ('kid')";
  if (error instanceof errors.JWKSNoMatchingKey)
    return "the token is signed with a key that its issuer does not publish";
  return "the signature of the token is wrong";
}

function refused(message: string, cause?: unknown): ServingError {
  return new ServingError("UNAUTHENTICATED", message, cause === undefined ? {} : { cause });
}
