import type { AdmissionConfig } from "../../config/read-admission.ts";
import { ServingError } from "../../proto/errors.ts";
import { createApiKeys, isApiKey } from "./api-key.ts";
import type { App } from "./app-rights.ts";
import type { ReplayStore } from "./limit-store.ts";
import { checkSignature, isSigned, type SignatureKey, type SignedRequest } from "./signature.ts";
import type { TokenCheck } from "./token.ts";

/** Whose credential a request carries. */
export interface Identity {
  readonly app: App;
  /** What the body must digest to, where the credential is a signature that covers it. */
  readonly digest: string | undefined;
}

/** What credentials are checked with. */
export interface CredentialOptions {
  readonly config: AdmissionConfig;
  readonly apps: ReadonlyMap<string, App>;
  readonly replays: ReplayStore;
  readonly tokens: TokenCheck;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
}

/** A clock that is set back must not make a signature valid again that is forgotten. */
const replayMarginMs = 1000;

/**
 * Builds the check of a request's credential: a signature, an API key or a token, in this order, from its headers and
 * its URL alone. Only the first that it carries counts.
 *
 * The check throws ServingError UNAUTHENTICATED, PERMISSION_DENIED for a token of an app that is not configured, and
 * ADMISSION_UNAVAILABLE.
 */
export function createCredentialCheck(options: CredentialOptions): (request: SignedRequest) => Promise<Identity> {
  const { config, apps, tokens } = options;
  const ownerOf = (id: string): App => {
    const app = apps.get(id);
    if (app === undefined)
      throw new ServingError("PERMISSION_DENIED", "the app that the token names is not known here");
    return app;
  };
  const apiKeys = createApiKeys(config.apps.map(({ id, keys }) => ({ owner: ownerOf(id), hashes: keys })));
  const signatureKeys = new Map<string, SignatureKey<App>>();
  for (const { id, signatureKeys: keys } of config.apps) {
    for (const { key, secret } of keys) signatureKeys.set(key, { secret, owner: ownerOf(id) });
  }
  return async (request) => {
    if (isSigned(request)) return signer(request, signatureKeys, options);
    const text = request.header("x-api-key") ?? bearerOf(request.header("authorization"));
    if (text === undefined) {
      throw new ServingError("UNAUTHENTICATED", "the request carries no API key, no signature and no token");
    }
    if (!isApiKey(text)) return { app: ownerOf(await tokens.appOf(text)), digest: undefined };
    const app = apiKeys(text);
    if (app === undefined) throw new ServingError("UNAUTHENTICATED", "the API key is wrong");
    return { app, digest: undefined };
  };
}

async function signer(
  request: SignedRequest,
  keys: ReadonlyMap<string, SignatureKey<App>>,
  { config, replays, wallClock }: CredentialOptions,
): Promise<Identity> {
  const { clockWindowMs, repeatWithinMs } = config.signature;
  const at = wallClock();
  const { owner, key, id, signedAtMs, digest } = checkSignature(request, keys, config.signature, at);
  const sinceMs = await replays.firstUse(key, id, signedAtMs + clockWindowMs + replayMarginMs - at);
  // One that covers the body belongs to one request; others are the same for all that a client sends in one second.
  if (sinceMs !== undefined && (digest !== undefined || sinceMs >= repeatWithinMs)) {
    throw new ServingError("UNAUTHENTICATED", "the signature was used before");
  }
  return { app: owner, digest };
}

function bearerOf(header: string | null): string | undefined {
  return /^bearer +(\S+)\s*$/i.exec(header ?? "")?.[1];
}
