import type { AdmissionConfig, AppConfig } from "../../config/read-admission.ts";
import { ServingError } from "../../proto/errors.ts";
import { createApiKeys, isApiKey } from "./api-key.ts";
import type { App } from "./app-rights.ts";
import type { ReplayStore } from "./limit-store.ts";
import { checkSignature, isSigned, type SignatureKey, type SignedRequest } from "./signature.ts";
import type { TokenCheck } from "./token.ts";

/** Whose credential a request carries. */
export interface Identity {
  readonly app: App;
  readonly credential: Credential;
  /** What the body must digest to, where the credential is a signature that covers it. */
  readonly digest: string | undefined;
}

/** What of the configuration a request was known by. */
export type Credential =
  | { readonly kind: "key"; readonly hash: string }
  | { readonly kind: "signature"; readonly key: string; readonly secret: string }
  | { readonly kind: "token"; readonly issuer: string; readonly app: string; readonly validUntilMs: number };

/** The credentials of one configuration. */
export interface Credentials {
  /**
   * Says whose credential a request carries: a signature, an API key or a token, in this order, from its headers and its
   * URL alone. Only the first that it carries counts.
   *
   * @throws ServingError UNAUTHENTICATED, PERMISSION_DENIED for a token of an app that is not configured, and
   * ADMISSION_UNAVAILABLE.
   */
  identify(request: SignedRequest): Promise<Identity>;
  /**
   * The app that an identity means here: a connection may have been known by an earlier configuration.
   *
   * @throws ServingError UNAUTHENTICATED when its credential is not, or no longer that app's, or its token is over.
   */
  appOf(identity: Identity): App;
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

type Owned = Omit<Identity, "digest">;

/** Builds the check of requests' credentials. */
export function createCredentials(options: CredentialOptions): Credentials {
  const { config, apps, tokens, wallClock } = options;
  const hashes = ownersOf(config, apps, ({ keys }) => keys.map((hash) => ({ kind: "key", hash })));
  const signatures = ownersOf(config, apps, ({ signatureKeys }) =>
    signatureKeys.map(({ key, secret }) => ({ kind: "signature", key, secret })),
  );
  const apiKeys = createApiKeys(hashes.map((owner) => ({ owner, hashes: [owner.credential.hash] })));
  const appByHash = new Map(hashes.map(({ app, credential }) => [credential.hash, app]));
  const signatureKeys = new Map<string, SignatureKey<Owned>>(
    signatures.map((owner) => [owner.credential.key, { secret: owner.credential.secret, owner }]),
  );
  const holderOf = (credential: Credential): App | undefined => {
    if (credential.kind === "key") return appByHash.get(credential.hash);
    if (credential.kind === "token") return tokens.knows(credential.issuer) ? apps.get(credential.app) : undefined;
    const key = signatureKeys.get(credential.key);
    return key?.secret === credential.secret ? key.owner.app : undefined;
  };
  return {
    async identify(request) {
      if (isSigned(request)) return signer(request, signatureKeys, options);
      const text = request.header("x-api-key") ?? bearerOf(request.header("authorization"));
      if (text === undefined) {
        throw new ServingError("UNAUTHENTICATED", "the request carries no API key, no signature and no token");
      }
      if (!isApiKey(text)) return bearer(text, options);
      const owned = apiKeys(text);
      if (owned === undefined) throw new ServingError("UNAUTHENTICATED", "the API key is wrong");
      return { ...owned, digest: undefined };
    },
    appOf({ app, credential }) {
      if (credential.kind === "token" && wallClock() >= credential.validUntilMs) {
        throw new ServingError("UNAUTHENTICATED", "the token of this connection has expired");
      }
      const holder = holderOf(credential);
      if (holder?.id === app.id) return holder;
      throw new ServingError("UNAUTHENTICATED", "the credential of this connection does not hold any more");
    },
  };
}

type OwnedBy<One extends Credential> = { readonly app: App; readonly credential: One };

function ownersOf<One extends Credential>(
  config: AdmissionConfig,
  apps: ReadonlyMap<string, App>,
  credentialsOf: (app: AppConfig) => readonly One[],
): readonly OwnedBy<One>[] {
  return config.apps.flatMap((block) => {
    const app = apps.get(block.id);
    return app === undefined ? [] : credentialsOf(block).map((credential) => ({ app, credential }));
  });
}

async function bearer(token: string, { apps, tokens }: CredentialOptions): Promise<Identity> {
  const { app: id, issuer, validUntilMs } = await tokens.senderOf(token);
  const app = apps.get(id);
  if (app === undefined) throw new ServingError("PERMISSION_DENIED", "the app that the token names is not known here");
  return { app, credential: { kind: "token", issuer, app: id, validUntilMs }, digest: undefined };
}

async function signer(
  request: SignedRequest,
  keys: ReadonlyMap<string, SignatureKey<Owned>>,
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
  return { ...owner, digest };
}

function bearerOf(header: string | null): string | undefined {
  return /^bearer +(\S+)\s*$/i.exec(header ?? "")?.[1];
}
