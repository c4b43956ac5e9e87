import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWKSCacheInput,
  type JWTVerifyGetKey,
  jwksCache,
  type RemoteJWKSet,
} from "jose";
import type { TokenIssuer } from "../../config/read-admission.ts";
import { ServingError } from "../../proto/errors.ts";

/** The public keys of one issuer. */
export interface KeySet extends Disposable {
  /** Finds a token's key. Throws ServingError ADMISSION_UNAVAILABLE when the set cannot be fetched. */
  readonly find: JWTVerifyGetKey;
  /** Settles when there are keys, or when the first attempt to fetch some is over. */
  readonly ready: Promise<void>;
  /** The keys that were fetched last, for a set that takes this one's place. */
  readonly fetched: JWKSCacheInput;
}

/** What key sets need of the outside. */
export interface KeySetEnvironment {
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number;
  /** Told when a set cannot be fetched in the background. */
  readonly onFailedFetch: (issuer: string, error: unknown) => void;
}

/** A set of a few keys has some kB; what is a thousand times as large is none. */
const maxSetBytes = 1_048_576;
/** After a failed fetch nobody asks again for so long, however many tokens come. */
const pauseAfterFailureMs = 1000;
/** A token with an unknown key makes the set be fetched anew, but not sooner than so long after the last time. */
const unknownKeyCooldownMs = 30_000;

/**
 * Gives the key set of an issuer: of its file, or of its URL. That one is fetched at once and then at intervals in the
 * background, so that no request waits for it, and is kept for `maxAgeMs` while it cannot be fetched anew. It begins with
 * the keys of `before`, a set from the same URL.
 *
 * @throws Error when the text of a file is no key set.
 */
export function createKeySet(issuer: TokenIssuer, environment: KeySetEnvironment, before?: KeySet): KeySet {
  const { jwksUrl, jwks = "" } = issuer;
  if (jwksUrl === undefined) {
    const find = createLocalJWKSet(JSON.parse(jwks));
    return { find, ready: Promise.resolve(), fetched: {}, [Symbol.dispose]: () => {} };
  }
  const fetched: JWKSCacheInput = { ...before?.fetched };
  const set = createRemoteJWKSet(new URL(jwksUrl), {
    timeoutDuration: issuer.timeoutMs,
    cacheMaxAge: issuer.maxAgeMs,
    cooldownDuration: Math.min(unknownKeyCooldownMs, issuer.refreshMs),
    [customFetch]: createBoundedFetch(environment.now),
    [jwksCache]: fetched,
  });
  const refresh = (): Promise<void> => set.reload().catch((error) => environment.onFailedFetch(issuer.issuer, error));
  const isThere = set.fresh;
  const first = refresh();
  const timer = setInterval(() => void refresh(), issuer.refreshMs);
  timer.unref();
  const ready = isThere ? Promise.resolve() : first;
  return { find: finderOf(set), ready, fetched, [Symbol.dispose]: () => clearInterval(timer) };
}

/** What a token may do wrong when its key is looked for; all else is the set's fault, or its server's. */
const faultsOfToken = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported];

function finderOf(set: RemoteJWKSet): JWTVerifyGetKey {
  return async (header, token) => {
    try {
      return await set(header, token);
    } catch (error) {
      if (faultsOfToken.some((fault) => error instanceof fault)) throw error;
      throw new ServingError("ADMISSION_UNAVAILABLE", "the keys of the token's issuer cannot be had now", {
        cause: error,
      });
    }
  };
}

type Fetch = (url: string, options: RequestInit) => Promise<Response>;

/** A fetch that follows no redirect, takes no more than a set can have, and pauses after a failure. */
function createBoundedFetch(now: () => number): Fetch {
  let pausedUntil = Number.NEGATIVE_INFINITY;
  return async (url, options) => {
    if (now() < pausedUntil) throw new Error("the last fetch failed a moment ago");
    try {
      const response = await fetch(url, { ...options, redirect: "manual" });
      if (response.status !== 200) throw new Error(`the answer has status ${response.status}`);
      return new Response(await boundedBytes(response));
    } catch (error) {
      pausedUntil = now() + pauseAfterFailureMs;
      throw error;
    }
  };
}

async function boundedBytes(response: Response): Promise<Blob> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > maxSetBytes) throw new Error(`the answer is larger than ${maxSetBytes} bytes`);
    chunks.push(chunk);
  }
  return new Blob(chunks);
}
