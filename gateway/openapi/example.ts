import type { InputDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { memberFromType } from "../envelope/data-member.ts";
import { decodeEnvelope } from "../envelope/decode.ts";
import type { CompiledService } from "../schema/compile.ts";
import { readDefinedSchema } from "../schema/definition.ts";
import { isRecord, schemaFromDialect } from "../schema/dialect.ts";
import { propertyOf } from "../schema/predecessor/definition-from-file.ts";
import { validate } from "../schema/validate.ts";
import { accepts } from "./accepts.ts";
import type { JsonObject } from "./api-part.ts";
import { type Extent, sampleFrom } from "./sample.ts";
import { sampleDataFor } from "./sample-data.ts";

/** A request of the unified protocol. */
export interface ExampleRequest {
  readonly header: JsonObject;
  readonly parameter: JsonObject;
  readonly payload: JsonObject;
}

/**
 * A request that the gateway accepts for a service: made of its definition, and checked as callers' requests are. Undefined
 * where none could be made, as for an input of which nothing but a pattern is known.
 */
export function exampleRequest(service: CompiledService): ExampleRequest | undefined {
  for (const extent of ["required", "all"] as const) {
    for (const hasStatus of [true, false]) {
      const example = buildExample(service, extent, hasStatus);
      if (example !== undefined && isAccepted(service, example)) return example;
    }
  }
  return undefined;
}

function isAccepted(service: CompiledService, example: ExampleRequest): boolean {
  return accepts(() => validate(service, decodeEnvelope(JSON.stringify(example)), "example"));
}

function buildExample(service: CompiledService, extent: Extent, hasStatus: boolean): ExampleRequest | undefined {
  const { id, definition } = service;
  const payload: Record<string, unknown> = {};
  for (const input of definition.inputs) {
    const stream = streamFrom(service, input, extent, hasStatus);
    if (stream === undefined && input.required) return undefined;
    if (stream !== undefined) payload[input.name] = stream;
  }
  const status = hasStatus ? { status: 3 } : {};
  const header = sampleOf(id, "header_schema", definition.headerSchema, extent);
  return {
    header: { ...status, ...header, ...appOf(definition.headerSchema) },
    parameter: parametersFrom(service, extent),
    payload,
  };
}

/** The app's id under the name that the header has for it. */
function appOf(headerSchema: string): JsonObject {
  return /"appid"/.test(headerSchema) && !/"app_id"/.test(headerSchema) ? { appid: "123456" } : { app_id: "123456" };
}

function parametersFrom(service: CompiledService, extent: Extent): JsonObject {
  const { id, definition, schemaFile } = service;
  if (schemaFile === undefined) {
    const parameters = sampleOf(id, "parameters_schema", definition.parametersSchema, extent);
    return Object.keys(parameters).length === 0 ? {} : { [id]: parameters };
  }
  const samples = schemaFile.capabilities.flatMap(({ name }) => {
    const schema = propertyOf(schemaFile.file.input, "parameter", name);
    const sample = schema === undefined ? undefined : sampleFrom(schemaFromDialect(schema), extent);
    return isRecord(sample) ? [[name, sample] as const] : [];
  });
  return Object.fromEntries(samples);
}

function streamFrom(
  { id }: CompiledService,
  input: InputDefinition,
  extent: Extent,
  hasStatus: boolean,
): JsonObject | undefined {
  const key = `inputs.${input.name}.attributes_schema`;
  const schema = readDefinedSchema(id, key, input.attributesSchema);
  const sample = sampleDataFor(input, encodingsOf(schema));
  if (sample === undefined) return undefined;
  const attributes = sampleOf(id, key, input.attributesSchema, extent);
  const status = hasStatus ? { status: 3 } : {};
  return { ...status, ...attributes, ...sample.attributes, [memberFromType(input.type)]: sample.data.toBase64() };
}

/** The values of the attribute `encoding` that a schema names. */
export function encodingsOf(schema: unknown): readonly unknown[] {
  const properties = isRecord(schema) && isRecord(schema.properties) ? schema.properties : {};
  const { encoding } = properties;
  return isRecord(encoding) && Array.isArray(encoding.enum) ? encoding.enum.filter((value) => value !== null) : [];
}

function sampleOf(service: string, key: string, text: string, extent: Extent): Readonly<Record<string, unknown>> {
  const sample = sampleFrom(readDefinedSchema(service, key, text) ?? { type: "object" }, extent);
  return isRecord(sample) ? sample : {};
}
