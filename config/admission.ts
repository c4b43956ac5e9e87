import { z } from "zod";
import { maxPriority } from "../proto/priority.ts";
import { redisUrlMistake } from "./redis-url.ts";

/** A priority as requests have it. */
export const prioritySchema = z.int().min(-maxPriority).max(maxPriority);

/** An app's id as `header.app_id` carries it. A YAML number would lose its leading zeros, so it has to be a text. */
const appIdSchema = z
  .string({ error: "expected a text: put a number between quotes" })
  .regex(/^[\x21-\x7e]{1,50}$/, "expected 1 to 50 printable ASCII characters without spaces");

/** `<id>:<hash>`: the id that stands in the key, and the SHA-256 of the whole key in hexadecimal. */
const keyHashSchema = z
  .string()
  .regex(/^[0-9a-f]{12}:[0-9a-f]{64}$/, "expected the 12 hex digits of the key's id, ':' and its SHA-256 in hex");

/** The two halves of a credential for signatures. HMAC needs the secret itself; it may stand outside of the file. */
const signatureKeySchema = z
  .strictObject({
    key: z.string().regex(/^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,128}$/, "expected 1 to 128 characters without quotes"),
    secret: z.string().min(16).max(512).optional(),
    /** The name of an environment variable that holds it. */
    secretEnv: z.string().min(1).optional(),
    /** A file that holds it, relative to the file in which it is named. */
    secretFile: z.string().min(1).optional(),
  })
  .refine(({ secret, secretEnv, secretFile }) => countOf(secret, secretEnv, secretFile) === 1, {
    error: "expected one of secret, secretEnv and secretFile",
  });

/** What one app may use at most; what is not named is not limited, but for the priority. */
const limitsSchema = z.strictObject({
  requestsPerSecond: z.number().min(0.001).max(1_000_000).optional(),
  /** How many may come at once after a pause; one second's worth where it is not named. */
  requestBurst: z.int().min(1).max(1_000_000).optional(),
  bytesPerSecond: z.number().min(1).max(1e12).optional(),
  byteBurst: z.int().min(1).max(1e12).optional(),
  concurrentCalls: z.int().min(0).max(1_000_000).optional(),
  concurrentSessions: z.int().min(0).max(1_000_000).optional(),
  /** The highest priority that its requests get; 0 where it is not named, which is what a request that says nothing has. */
  maxPriority: prioritySchema.optional(),
});

const appSchema = z.strictObject({
  id: appIdSchema,
  /** The ids of the services that it may call; `*` stands for any run of characters. */
  services: z
    .array(z.string().regex(/^[A-Za-z0-9_.*-]{1,64}$/, "expected a service's id, in which '*' matches anything"))
    .min(1)
    .max(1024),
  /** Whether it may load and unload those services too, where the gateway's `modelControl` is explicit. */
  modelControl: z.boolean().default(false),
  keys: z.array(keyHashSchema).max(16).default([]),
  signatureKeys: z.array(signatureKeySchema).max(16).default([]),
  limits: limitsSchema.default({}),
});

const appsSchema = z
  .array(appSchema)
  .max(10_000)
  .superRefine((apps, context) => {
    const seen = new Set<string>();
    const once = (what: string, value: string, path: (string | number)[]): void => {
      if (seen.has(`${what} ${value}`)) context.addIssue({ code: "custom", path, message: `'${value}' stands twice` });
      seen.add(`${what} ${value}`);
    };
    for (const [index, app] of apps.entries()) {
      once("app", app.id, [index, "id"]);
      for (const [at, key] of app.keys.entries()) once("key", key.slice(0, 12), [index, "keys", at]);
      for (const [at, { key }] of app.signatureKeys.entries())
        once("signature", key, [index, "signatureKeys", at, "key"]);
    }
  });

/** The schema of a file of apps, which `admission.appsFile` names. */
export const appsFileSchema = z.strictObject({ apps: appsSchema });

const signatureSchema = z.strictObject({
  /** How far a request's date may be from the gateway's clock. */
  clockWindowMs: z.int().min(1000).max(3_600_000).default(300_000),
  /**
   * How long after its first use a signature that does not cover the body may be used again. Its date counts in whole
   * seconds, so what a client sends within one second is all signed alike. 0: never again.
   */
  repeatWithinMs: z.int().min(0).max(60_000).default(1000),
  /** Refuses signatures that do not cover the body. */
  requireDigest: z.boolean().default(false),
  /** Hosts that clients sign beside the one that the request names: behind a proxy that sets another Host. */
  hosts: z.array(z.string().min(1).toLowerCase()).max(16).default([]),
  /** The most signatures of one key that are remembered, and ten times as many of all keys; more at once are refused. */
  maxRemembered: z.int().min(1).max(10_000_000).default(300_000),
});

// Only signatures that a public key checks: with one of a shared secret, whoever can verify tokens could make them.
const algorithmSchema = z.enum([
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
]);

const tokenIssuerSchema = z
  .strictObject({
    issuer: z.string().min(1),
    audience: z.string().min(1),
    algorithms: z.array(algorithmSchema).min(1).default(["RS256", "ES256"]),
    /** The claim that names the app. */
    appClaim: z.string().min(1).default("sub"),
    jwksUrl: z.url({ protocol: /^https?$/, error: "expected an http or https URL" }).optional(),
    /** A file with the key set, relative to the configuration file. */
    jwksFile: z.string().min(1).optional(),
    /** How often the key set is fetched anew. */
    refreshMs: z.int().min(1000).max(86_400_000).default(300_000),
    /** How long a key set is used when it cannot be fetched anew. */
    maxAgeMs: z.int().min(1000).max(604_800_000).default(3_600_000),
    timeoutMs: z.int().min(10).max(30_000).default(3000),
  })
  .refine(({ jwksUrl, jwksFile }) => countOf(jwksUrl, jwksFile) === 1, {
    error: "expected one of jwksUrl and jwksFile",
  });

const redisSchema = z
  .strictObject({
    url: z
      .string()
      .superRefine((url, context) => {
        const message = redisUrlMistake(url);
        if (message !== undefined) context.addIssue({ code: "custom", message });
      })
      .optional(),
    /** The name of an environment variable that holds the URL, for one with a password. */
    urlEnv: z.string().min(1).optional(),
    /** What the keys begin with: gateways with the same prefix share their limits. */
    prefix: z.string().max(64).default("athena:"),
    /** How long one command may take before the gateway goes on without. */
    timeoutMs: z.int().min(1).max(10_000).default(250),
    /** `local`: each gateway keeps the limits by itself; `refuse`: what is limited is refused. */
    whenDown: z.enum(["local", "refuse"]).default("local"),
    /** How long a call still counts after the gateway that carried it has died. */
    leaseMs: z.int().min(1000).max(600_000).default(30_000),
  })
  .refine(({ url, urlEnv }) => countOf(url, urlEnv) === 1, { error: "expected one of url and urlEnv" });

/** The schema of the gateway's `admission` block; docs/admission.md explains it. */
export const admissionSchema = z
  .strictObject({
    apps: appsSchema.optional(),
    /** A YAML file with the same list under `apps`, relative to the configuration file. */
    appsFile: z.string().min(1).optional(),
    /** What an app that does not name a limit of its own gets. */
    limits: limitsSchema.default({}),
    signature: signatureSchema.prefault({}),
    tokens: z
      .array(tokenIssuerSchema)
      .max(16)
      .superRefine((issuers, context) => {
        for (const [index, { issuer }] of issuers.entries()) {
          if (issuers.findIndex((other) => other.issuer === issuer) !== index) {
            context.addIssue({ code: "custom", path: [index, "issuer"], message: `'${issuer}' stands twice` });
          }
        }
      })
      .default([]),
    redis: redisSchema.optional(),
  })
  .refine(({ apps, appsFile }) => countOf(apps, appsFile) === 1, { error: "expected one of apps and appsFile" });

/** The admission block as it is written: files and environment variables are only named. */
export type AdmissionBlock = z.output<typeof admissionSchema>;

/** One app as it is written. */
export type AppBlock = z.output<typeof appSchema>;

/** What one app may use at most. */
export type AppLimits = z.output<typeof limitsSchema>;

/** How signatures are judged. */
export type SignatureConfig = z.output<typeof signatureSchema>;

/** One issuer of tokens. */
export type TokenIssuerConfig = z.output<typeof tokenIssuerSchema>;

/** The shared store of limits. */
export type RedisConfig = z.output<typeof redisSchema>;

function countOf(...values: readonly unknown[]): number {
  return values.filter((value) => value !== undefined).length;
}
