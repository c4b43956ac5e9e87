import { z } from "zod";

/** Headers that the engine or its HTTP client writes itself. */
const ownHeaders =
  /^(accept-encoding|connection|content-.*|expect|grpc-.*|host|inference-header-.*|te|transfer-encoding|upgrade)$/i;

const headerValue = z.union(
  [
    z.string().regex(/^[\x20-\x7e]*$/),
    z.strictObject({
      variable: z.string().regex(/^[A-Za-z_]\w*$/, "expected the name of an environment variable"),
      prefix: z.string().default(""),
    }),
  ],
  { error: "expected a text, or { variable, prefix }" },
);

const headers = z.record(z.string(), headerValue).superRefine((record, context) => {
  for (const name of Object.keys(record)) {
    const isName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(name);
    const message = isName ? "the engine writes this header itself" : "expected the name of a header";
    if (!isName || ownHeaders.test(name)) context.addIssue({ code: "custom", path: [name], message });
  }
});

function isServerUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return ["http:", "https:"].includes(protocol) && `${username}${password}${search}${hash}` === "";
}

const timeout = z.int().min(1).max(3_600_000);

const common = {
  kind: z.literal("remote"),
  /** Where the server listens; the one address that the engine dials. */
  url: z.string().refine(isServerUrl, "expected an http or https URL without credentials, query and fragment"),
  /** The model's name on the server. */
  model: z.string().min(1).max(256),
  /** Sent with every request; a value may be taken from an environment variable, so that no secret stands in a file. */
  headers: headers.default({}),
  /** Calls that the server is given at once. */
  concurrency: z.int().min(1).max(100_000).default(16),
  /** How long the server may send nothing in the middle of an answer that comes in pieces. */
  idleTimeoutMs: timeout.default(60_000),
  /** The most bytes of one answer. */
  maxResponseBytes: z.int().min(1024).max(1_073_741_824).default(67_108_864),
  health: z
    .strictObject({
      /** Between two probes. */
      intervalMs: timeout.default(5000),
      timeoutMs: timeout.default(2000),
      /** Probes in a row without an answer that make the service not ready; a server that says no counts at once. */
      failures: z.int().min(1).max(100).default(3),
    })
    .prefault({}),
};

/** A model's version on the server; the server chooses one unless told. */
const modelVersion = z.string().max(64).default("");

/** What service.yaml says about a model server that runs beside the loader. */
export const remoteEngineSchema = z.discriminatedUnion("protocol", [
  z.strictObject({
    ...common,
    protocol: z.literal("oip-http"),
    modelVersion,
    /** How tensors travel; auto: in binary when the server's metadata has the extension, else as JSON. */
    tensors: z.enum(["auto", "binary", "json"]).default("auto"),
  }),
  z.strictObject({
    ...common,
    protocol: z.literal("oip-grpc"),
    modelVersion,
    /** The service answers streams, through ModelStreamInfer: any number of results. */
    stream: z.boolean().default(false),
  }),
  z.strictObject({
    ...common,
    protocol: z.literal("openai"),
    /** What the model is told before each conversation. */
    systemPrompt: z.string().default(""),
    /** Members of each request as they are; a request's own parameters go first. */
    options: z.record(z.string(), z.json()).default({}),
    /** Asked by the probes instead of the list of models; from the root of the URL. */
    healthPath: z.string().startsWith("/").optional(),
  }),
]);
