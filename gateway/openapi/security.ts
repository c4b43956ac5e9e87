import type { JsonObject } from "./api-part.ts";

/** What callers may say who they are with, by its names under `#/components/securitySchemes`: any one of these is enough. */
export const securitySchemes: Readonly<Record<string, JsonObject>> = {
  bearer: { type: "http", scheme: "bearer", description: "An API key, or a JWT of an issuer that the gateway knows." },
  apiKey: { type: "apiKey", in: "header", name: "X-Api-Key", description: "An API key." },
  signature: {
    // As the scheme `hmac` it would be one that no tool knows.
    type: "apiKey",
    in: "header",
    name: "Authorization",
    description: [
      '`hmac api_key="...", algorithm="hmac-sha256", headers="host date request-line digest", signature="..."`, beside `Date` and `Digest`: an HMAC-SHA256 in base64.',
      "What is signed are the lines `host: ...`, `date: ...`, the request line, and `digest: ...` where the body is covered.",
    ].join(" "),
  },
  urlSignature: {
    type: "apiKey",
    in: "query",
    name: "authorization",
    description:
      "The same without `hmac` and the digest, in base64. The parameters `date` and `host` stand beside it, as they were signed.",
  },
};

/** One of the ways for each call. */
export const securityRequirements: readonly JsonObject[] = Object.keys(securitySchemes).map((name) => ({ [name]: [] }));
