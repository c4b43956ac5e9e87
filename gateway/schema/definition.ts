import { ServingError } from "../../proto/errors.ts";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type { OutputDefinition, ServiceDefinition, TensorDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { isDatatype, maxRank } from "../../proto/tensor.ts";
import { isRecord, type JsonSchema, schemaFromDialect } from "./dialect.ts";
import { compileSchema, type SchemaCheck } from "./schema-check.ts";

/** What a definition may be made of: it comes from a loader, which runs other people's code. */
const maxStreams = 256;
const maxSchemaLength = 262_144;
const namePattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;
/** Inputs and outputs may be a model's tensors, which are named like "serving_default_x:0" and "/encoder/Add_1". */
const streamNamePattern = /^[A-Za-z0-9_/][A-Za-z0-9_.:/-]{0,127}$/;
/** The path of a request's value, as in `$.payload.data.text`, would say two things with these names. */
const reservedNames: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Refuses a definition whose names or sizes are out of bounds. Its schemas are looked at by {@link compileDefinedSchema}.
 *
 * @throws ServingError SERVICE_NOT_READY, naming the service and the key.
 */
export function assertDefinition(definition: ServiceDefinition): void {
  if (!namePattern.test(definition.id)) throw broken(definition.id, "id", "must be letters, digits, '_', '.' and '-'");
  if (definition.sidPrefix.length > 16) throw broken(definition.id, "sid_prefix", "is too long");
  assertStreams(definition.id, "inputs", definition.inputs);
  assertStreams(definition.id, "outputs", definition.outputs);
}

type Stream = Pick<OutputDefinition, "name" | "type" | "tensor">;

function assertStreams(service: string, key: string, streams: readonly Stream[]): void {
  if (streams.length > maxStreams) throw broken(service, key, `has more than ${maxStreams} entries`);
  const names = new Set<string>();
  for (const { name, type, tensor } of streams) {
    if (!streamNamePattern.test(name) || reservedNames.has(name))
      throw broken(service, key, "has an entry with a bad name");
    if (names.has(name)) throw broken(service, key, `has two entries named '${name}'`);
    if (type === PartType.UNSPECIFIED) throw broken(service, `${key}.${name}.type`, "is missing");
    if (tensor !== undefined && !isTensor(tensor)) throw broken(service, `${key}.${name}.tensor`, "is not a tensor's");
    names.add(name);
  }
}

function isTensor({ datatype, shape }: TensorDefinition): boolean {
  const sizes = shape.every((size) => size >= -1n && size <= Number.MAX_SAFE_INTEGER);
  return isDatatype(datatype) && shape.length <= maxRank && sizes;
}

/**
 * Reads one schema of a definition: a JSON Schema of an object, or just the object of its property schemas. Undefined
 * for an empty text.
 *
 * @throws ServingError SERVICE_NOT_READY, naming the service and the key.
 */
export function readDefinedSchema(service: string, key: string, text: string): JsonSchema | undefined {
  if (text === "") return undefined;
  if (text.length > maxSchemaLength) throw broken(service, key, `is longer than ${maxSchemaLength} characters`);
  return attempt(service, key, () => {
    return schemaFromDialect(wholeSchemaFrom(JSON.parse(text)));
  });
}

/** A schema of a definition as a JSON Schema: what is just the object of its property schemas becomes one. */
export function wholeSchemaFrom(parsed: unknown): unknown {
  return isRecord(parsed) && !isWholeSchema(parsed) ? wholeFromProperties(parsed) : parsed;
}

/**
 * Compiles what {@link readDefinedSchema} gave.
 *
 * @throws ServingError SERVICE_NOT_READY, naming the service and the key.
 */
export function compileDefinedSchema(service: string, key: string, schema: JsonSchema): SchemaCheck {
  return attempt(service, key, () => compileSchema(schema));
}

const wholeSchemaKeywords = ["$ref", "allOf", "anyOf", "oneOf", "additionalProperties", "required", "enum", "const"];

/**
 * Property schemas are objects or booleans, and so are the values of the keyword `properties`; every other keyword
 * that a schema of an object is made with has a value that no property's schema could be.
 */
function isWholeSchema(parsed: Readonly<Record<string, unknown>>): boolean {
  const { type, properties } = parsed;
  if (typeof type === "string" || Array.isArray(type) || typeof parsed.$schema === "string") return true;
  if (
    isRecord(properties) &&
    Object.values(properties).every((value) => isRecord(value) || typeof value === "boolean")
  ) {
    return true;
  }
  return wholeSchemaKeywords.some((keyword) => keyword in parsed && !isRecord(parsed[keyword]));
}

function wholeFromProperties(properties: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.keys(properties).length === 0 ? {} : { type: "object", properties };
}

function attempt<T>(service: string, key: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw broken(service, key, `is not a valid JSON Schema: ${error instanceof Error ? error.message : "?"}`, error);
  }
}

function broken(service: string, key: string, mistake: string, cause?: unknown): ServingError {
  const message = `the definition of service '${service.slice(0, 64)}' is broken: '${key}' ${mistake.slice(0, 300)}`;
  return new ServingError("SERVICE_NOT_READY", message, cause === undefined ? {} : { cause });
}
