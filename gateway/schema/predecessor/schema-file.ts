import { z } from "zod";
import { type Located, parseLocated } from "../../../config/load.ts";
import { type PartTypeName, partTypes } from "../../../proto/part-type.ts";
import { compileDialect } from "./compile-dialect.ts";

const texts = z
  .union([z.string(), z.array(z.string())], { error: "expected a text or a list of texts" })
  .nullish()
  .transform((given) => [given ?? []].flat().filter((text) => text !== ""));

/** The predecessor took numbers in texts too. */
const seconds = z.union([z.number().min(0), z.string().regex(/^\d+$/).transform(Number)], {
  error: "expected a number of seconds",
});

const typed = z.union([z.string(), z.looseObject({ dataType: z.string().default("") })], {
  error: "expected { dataType } or the name of a type",
});

const nicknameSchema = z.looseObject({
  input: z.record(z.string(), typed).default({}),
  accept: z.record(z.string(), typed).default({}),
});

const subRouteSchema = z.looseObject({
  subServiceId: z.string().min(1),
  priority: z.number().default(0),
  rules: z.record(z.string().min(1), z.json()).default({}),
});

const metaSchema = z.looseObject({
  serviceId: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "expected letters, digits, '_', '.' and '-'"),
  version: z.string().max(64).default(""),
  service: texts,
  sub: z.string().max(16).default(""),
  cloudId: z.string().default(""),
  type: z.string().default(""),
  hosts: texts,
  route: texts,
  companion_route: texts,
  routeKey: texts,
  subRoute: z.array(subRouteSchema).default([]),
  codeMap: z.record(z.string().regex(/^-?\d+$/, "expected an error code"), z.int().min(101).max(599)).default({}),
  read_timeout: seconds.optional(),
  session_timeout: seconds.optional(),
});

const anySchema = z.record(z.string(), z.json()).default({});

const fileSchema = z
  .looseObject({ meta: metaSchema, schemainput: anySchema, schemaoutput: anySchema })
  .superRefine((file, context) => {
    const mistakes: Parameters<typeof compileDialect>[1] = [];
    compileDialect(file.schemainput, mistakes);
    for (const { path, message } of mistakes) {
      context.addIssue({ code: "custom", path: ["schemainput", ...path], message });
    }
    for (const name of file.meta.service) {
      const nickname = nicknameSchema.optional().safeParse(file.meta[name]);
      for (const issue of nickname.error?.issues ?? []) {
        context.addIssue({ code: "custom", path: ["meta", name, ...issue.path], message: issue.message });
      }
    }
  });

/** A payload stream or an output that a schema file names. */
export interface NamedType {
  readonly name: string;
  readonly type: PartTypeName;
}

/** One capability of a schema file: what stands under its name in `parameter`, and the streams that belong to it. */
export interface Capability {
  readonly name: string;
  readonly inputs: readonly NamedType[];
  readonly accepts: readonly NamedType[];
}

/** One line of a schema file's category. */
export interface SubRoute {
  readonly service: string;
  readonly priority: number;
  /** What the values at these JSON paths must be. */
  readonly rules: Readonly<Record<string, unknown>>;
}

/** One of the predecessor's `schema_*.json` files, checked. */
export interface SchemaFile {
  readonly serviceId: string;
  readonly version: string;
  readonly capabilities: readonly Capability[];
  /** What request ids begin with; "" for the default. */
  readonly sub: string;
  readonly cloudId: string;
  readonly hosts: readonly string[];
  readonly routes: readonly string[];
  /** Paths that lead to the category before anything else is looked at; with them, it is found by nothing else. */
  readonly companionRoutes: readonly string[];
  readonly isCategory: boolean;
  readonly subRoutes: readonly SubRoute[];
  readonly routeKeys: readonly string[];
  /** HTTP statuses by error code. */
  readonly codeMap: Readonly<Record<string, number>>;
  /** Undefined where it does not say. */
  readonly sessionTimeoutMs: number | undefined;
  readonly readTimeoutMs: number | undefined;
  readonly input: Readonly<Record<string, unknown>>;
  readonly output: Readonly<Record<string, unknown>>;
  /** Keys that it sets and that have no effect here. */
  readonly ignored: readonly string[];
}

/**
 * Understands the text of one of the predecessor's schema files; `source` names it in mistakes.
 *
 * @throws ConfigError with every mistake and its line.
 */
export function parseSchemaFile(text: string, source: string): Located<SchemaFile> {
  const { value, mistakeAt } = parseLocated(text, fileSchema, source);
  return { value: schemaFileFrom(value), mistakeAt };
}

function schemaFileFrom({ meta, schemainput, schemaoutput }: z.output<typeof fileSchema>): SchemaFile {
  return {
    serviceId: meta.serviceId,
    version: meta.version,
    capabilities: meta.service.map((name) => capabilityFrom(name, meta[name])),
    sub: meta.sub,
    cloudId: meta.cloudId === "0" ? "" : meta.cloudId,
    hosts: meta.hosts.map((host) => host.toLowerCase()),
    routes: meta.route,
    companionRoutes: meta.companion_route,
    isCategory: meta.type === "category" || meta.companion_route.length > 0,
    subRoutes: meta.subRoute.map(({ subServiceId, priority, rules }) => ({ service: subServiceId, priority, rules })),
    routeKeys: meta.routeKey,
    codeMap: meta.codeMap,
    sessionTimeoutMs: millisecondsFrom(meta.session_timeout),
    readTimeoutMs: millisecondsFrom(meta.read_timeout),
    input: schemainput,
    output: schemaoutput,
    ignored: ["enable_client_session", "build_header"].filter((key) => meta[key] === true),
  };
}

/** The predecessor's default stood where a timeout was 0. */
function millisecondsFrom(given: number | undefined): number | undefined {
  return given === undefined || given === 0 ? undefined : Math.round(given * 1000);
}

function capabilityFrom(name: string, meta: unknown): Capability {
  const { input, accept } = nicknameSchema.parse(meta ?? {});
  return { name, inputs: namedTypes(input), accepts: namedTypes(accept) };
}

function namedTypes(declared: z.output<typeof nicknameSchema>["input"]): readonly NamedType[] {
  return Object.entries(declared).map(([name, value]) => ({
    name,
    type: typeFrom(typeof value === "string" ? value : value.dataType),
  }));
}

/** A type that it did not know was audio for the predecessor. */
function typeFrom(name: string): PartTypeName {
  return isTypeName(name) ? name : "audio";
}

function isTypeName(name: string): name is PartTypeName {
  return Object.hasOwn(partTypes, name);
}
