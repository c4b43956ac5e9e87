import { z } from "zod";
import { maxPriority } from "../proto/priority.ts";
import { admissionSchema, prioritySchema } from "./admission.ts";
import { tcpListenSchema } from "./listen.ts";

const endpointUrl = z
  .string()
  .regex(/^(http:\/\/[^\s/]+|unix:\/.+)\/?$/, "expected http://host:port or unix:/path")
  .transform((url) => url.replace(/\/$/, ""));

const endpointSchema = z.union(
  [
    endpointUrl.transform((url) => ({ url, weight: 1 })),
    z.strictObject({ url: endpointUrl, weight: z.number().positive().max(1000).default(1) }),
  ],
  { error: "expected a URL (http://host:port or unix:/path) or { url, weight }" },
);

/** Where the key of consistent hashing comes from. A JSON path names a value of the envelope, as in `$.header.uid`. */
const hashKeySchema = z.union(
  [
    z.strictObject({ header: z.string().min(1).toLowerCase() }),
    z.strictObject({ json: z.string().regex(/^\$(\.[^.\s]+)+$/, "expected a path such as $.header.uid") }),
    z.strictObject({ client: z.literal("address") }),
  ],
  { error: "expected { header: name }, { json: $.path } or { client: address }" },
);

const balancerSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("round-robin") }),
  z.strictObject({ kind: z.literal("least-load") }),
  z.strictObject({
    kind: z.literal("consistent-hash"),
    key: hashKeySchema,
    maxLoadFactor: z.number().min(1).max(100).default(1.25),
  }),
]);

const serviceId = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected letters, digits, '_', '.' and '-'");

/** Exact paths, beside those that end in the id, each for every host of `hosts` or for hosts of its own. */
const routesSchema = z
  .array(
    z.union(
      [
        z.string().startsWith("/"),
        z.strictObject({
          path: z.string().startsWith("/"),
          hosts: z.array(z.string().min(1).toLowerCase()).min(1).max(64),
        }),
      ],
      { error: "expected a path that begins with '/', or { path, hosts }" },
    ),
  )
  .max(64)
  .default([]);

const hostsSchema = z.array(z.string().min(1).toLowerCase()).max(64).default([]);

const serviceSchema = z.strictObject({
  /** The service's id, as its loaders serve it. */
  id: serviceId,
  /** Empty: the version that the loaders serve by default. */
  version: z.string().max(64).default(""),
  endpoints: z.array(endpointSchema).min(1).max(1024),
  balancer: balancerSchema.default({ kind: "least-load" }),
  /** A minute where neither this nor a schema file says otherwise. */
  timeoutMs: z.int().min(1).max(3_600_000).optional(),
  /** 15 seconds and an hour where neither this nor a schema file says otherwise. */
  session: z
    .strictObject({
      idleTimeoutMs: z.int().min(10).max(86_400_000).optional(),
      totalTimeoutMs: z.int().min(10).max(86_400_000).optional(),
    })
    .prefault({}),
  routes: routesSchema,
  /** Hosts for which `routes` hold; none: every host. */
  hosts: hostsSchema,
  /** The `meta.serviceId` of the schema file that describes its requests, where it is not the service's id. */
  schema: serviceId.optional(),
  /** HTTP statuses that callers get for some error codes, in place of the usual ones. */
  codeMap: z.record(z.string().regex(/^-?\d+$/, "expected an error code"), z.int().min(400).max(599)).default({}),
});

const scalar = z.union([z.string(), z.number(), z.boolean()], { error: "expected a text, a number, true or false" });

/** A virtual service that picks a real one from a request's values. */
const categorySchema = z.strictObject({
  id: serviceId,
  routes: routesSchema,
  hosts: hostsSchema,
  rules: z
    .array(
      z.strictObject({
        /** A service, or another category. */
        service: serviceId,
        /** The higher is looked at first; rules of one priority in their order. */
        priority: z.number().default(0),
        /** What the values at these JSON paths must be, all of them; nothing: every request. */
        when: z
          .record(
            z.string().regex(/^\$\.(header|parameter|payload)[.[]/, "expected a path such as $.parameter.ocr.lang"),
            z.union([scalar, z.array(scalar).min(1).max(1024)]),
          )
          .default({}),
      }),
    )
    .min(1)
    .max(1024),
  /** Values of the rule that was taken, by the last names of their paths, that the engine is told. */
  routeKeys: z.array(z.string().min(1)).max(16).default([]),
});

const bytes = z.int().min(1024).max(1_073_741_824);
const patience = z.int().min(10).max(3_600_000);

/** What bounds sessions, and the WebSockets that carry them. */
const sessionsSchema = z.strictObject({
  max: z.int().min(1).max(1_000_000).default(20_000),
  maxConnections: z.int().min(1).max(1_000_000).default(20_000),
  maxPerConnection: z.int().min(1).max(10_000).default(64),
  maxFrameBytes: bytes.default(16_777_216),
  maxWaitingBytes: bytes.default(4_194_304),
  maxAllWaitingBytes: bytes.default(268_435_456),
  slowReaderTimeoutMs: patience.default(10_000),
  connectionIdleTimeoutMs: patience.default(60_000),
  pingTimeoutMs: z.int().min(8000).max(960_000).default(30_000),
  keepAliveMs: patience.default(15_000),
  resumeWindowMs: z.int().min(0).max(600_000).default(10_000),
  maxUnacknowledgedFrames: z.int().min(1).max(100_000).default(256),
});

const isOrigin = (text: string): boolean => {
  if (text === "*") return true;
  if (!/^[a-z][a-z0-9+.-]*:\/\/(\*\.)?[^\s/*?#@]+$/.test(text)) return false;
  // As a browser writes it: in lower case, and without the port that its scheme has anyway. Of other schemes nobody can say.
  const one = text.replace("*", "any");
  return !/^https?:/.test(text) || (URL.canParse(one) && new URL(one).origin === one);
};

/** Which pages of other origins may call from browsers. */
const corsSchema = z.strictObject({
  origins: z
    .array(
      z
        .string()
        .refine(
          isOrigin,
          "expected an origin as browsers write it: https://app.example.com, https://*.example.com or *",
        ),
    )
    .min(1)
    .max(256),
  maxAgeSeconds: z.int().min(0).max(86_400).default(600),
});

/** The schema of gateway.yaml; config/gateway.yaml explains each key. */
export const gatewayConfigSchema = z
  .strictObject({
    listen: tcpListenSchema.default({ host: "0.0.0.0", port: 30889 }),
    /** gRPC needs a port of its own. */
    grpcListen: tcpListenSchema.default({ host: "0.0.0.0", port: 30890 }),
    admin: tcpListenSchema.default({ host: "127.0.0.1", port: 30891 }),
    limits: z
      .strictObject({
        maxBodyBytes: z.int().min(1024).max(1_073_741_824).default(16_777_216),
        maxRequestsInFlight: z.int().min(1).max(1_000_000).default(10_000),
        maxJsonDepth: z.int().min(4).max(1000).default(32),
        maxAnswerBytes: z.int().min(65_536).max(1_073_741_824).default(67_108_864),
        /** The highest priority that a request gets, whoever sends it. */
        maxPriority: prioritySchema.default(maxPriority),
      })
      .prefault({}),
    sessions: sessionsSchema.prefault({}),
    /** Who may call what, and how much. Not there: everybody may. */
    admission: admissionSchema.optional(),
    /** Not there: no page of another origin may. */
    cors: corsSchema.optional(),
    healthCheck: z
      .strictObject({
        intervalMs: z.int().min(10).max(600_000).default(2000),
        timeoutMs: z.int().min(10).max(60_000).default(1000),
      })
      .prefault({}),
    /** How a gateway finds out that a loader it has sessions at is gone without a word, and lets it find out the same. */
    loaderConnections: z
      .strictObject({
        pingIntervalMs: z.int().min(100).max(60_000).default(20_000),
        pingTimeoutMs: z.int().min(100).max(60_000).default(10_000),
      })
      .prefault({}),
    /** Whether the Open Inference Protocol's load and unload work here; the loaders must allow it too. */
    modelControl: z.enum(["none", "explicit"]).default("none"),
    /** One line on standard output for each request. */
    accessLog: z.boolean().default(true),
    /** How often this file and the files that it names are looked at; what has changed is served anew. 0: only when asked. */
    reloadIntervalMs: z.union([z.literal(0), z.int().min(10).max(3_600_000)]).default(1000),
    /** Whether documents about the services are on the public address; on unless told, but off beside `admission`. */
    docs: z.boolean().optional(),
    drainTimeoutMs: z.int().min(0).max(3_600_000).default(30_000),
    /** Two letters that name the site, inside every request id. */
    location: z
      .string()
      .regex(/^[a-z0-9]{2}$/, "expected two letters or digits")
      .default("dx"),
    services: z.array(serviceSchema).min(1).max(10_000),
    categories: z.array(categorySchema).max(10_000).default([]),
    /** The predecessor's schema files, or folders of them, relative to the configuration file. */
    schemas: z.array(z.string().min(1)).max(256).default([]),
  })
  .superRefine((config, context) => {
    const seen = new Set<string>();
    for (const key of ["services", "categories"] as const) {
      for (const [index, { id }] of config[key].entries()) {
        if (seen.has(id))
          context.addIssue({ code: "custom", path: [key, index, "id"], message: `'${id}' stands twice` });
        seen.add(id);
      }
    }
  });

/** The gateway's configuration, checked and complete. */
export type GatewayConfig = z.output<typeof gatewayConfigSchema>;

/** One service of the gateway's configuration. */
export type ServiceConfig = GatewayConfig["services"][number];

/** One category of the gateway's configuration. */
export type CategoryConfig = GatewayConfig["categories"][number];

/** Which pages of other origins may call. */
export type CorsConfig = z.output<typeof corsSchema>;

/** Where the key of consistent hashing comes from. */
export type HashKeySource = z.output<typeof hashKeySchema>;
