import { create } from "@bufbuild/protobuf";
import {
  InputDefinitionSchema,
  OutputDefinitionSchema,
  type ServiceDefinition,
  ServiceDefinitionSchema,
} from "../../../proto/gen/athena/v1/service_pb.ts";
import { partTypes } from "../../../proto/part-type.ts";
import { isRecord } from "../dialect.ts";
import { textFromValue } from "../text-from-value.ts";
import type { NamedType, SchemaFile } from "./schema-file.ts";

type Schema = Readonly<Record<string, unknown>>;

/**
 * The definition of a service whose requests a schema file describes. What the file says holds: it is the promise that
 * callers have. The rest is what a loader told of itself.
 */
export function definitionFromFile(
  file: SchemaFile,
  id: string,
  told: ServiceDefinition | undefined,
): ServiceDefinition {
  const payload = propertyOf(file.input, "payload");
  const inputs = distinct(file.capabilities.flatMap((capability) => capability.inputs));
  const asked = new Map(
    file.capabilities.flatMap(({ name, accepts }) =>
      accepts.map((accept) => [accept.name, propertyOf(file.input, "parameter", name, accept.name)] as const),
    ),
  );
  const outputs = distinct(file.capabilities.flatMap((capability) => capability.accepts));
  return {
    ...(told ?? create(ServiceDefinitionSchema)),
    id,
    version: told?.version ?? file.version,
    inputs: inputs.map((input) => {
      const toldInput = told?.inputs.find(({ name }) => name === input.name) ?? create(InputDefinitionSchema);
      const schema = propertyOf(payload, input.name);
      return { ...toldInput, ...inputFrom(input, schema, requiredOf(payload).includes(input.name)) };
    }),
    outputs: outputs.map((output) => {
      const toldOutput = told?.outputs.find(({ name }) => name === output.name) ?? create(OutputDefinitionSchema);
      const schema = asked.get(output.name);
      const attributes = { ...toldOutput.attributes, ...valuesThatAreSet(schema) };
      return { ...toldOutput, ...outputFrom(output, schema), attributes };
    }),
    parametersSchema: textOf(parametersFrom(file)),
    headerSchema: textOf(propertyOf(file.input, "header")),
    once: told?.once ?? true,
    stream: told?.stream ?? true,
    sidPrefix: file.sub || (told?.sidPrefix ?? ""),
  };
}

/** Several capabilities may name one stream. */
function distinct(streams: readonly NamedType[]): readonly NamedType[] {
  return streams.filter(({ name }, index) => streams.findIndex((other) => other.name === name) === index);
}

/** The schema of the property at these names, each within the one before; undefined where there is none. */
export function propertyOf(schema: unknown, ...names: readonly string[]): Schema | undefined {
  let current: unknown = schema;
  for (const name of names) {
    const properties = isRecord(current) ? current.properties : undefined;
    current = isRecord(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
  }
  return isRecord(current) ? current : undefined;
}

function inputFrom({ name, type }: NamedType, schema: Schema | undefined, required: boolean) {
  const attributesSchema = textOf(schema && without(schema, isDataMember));
  const maxBytes = maxBytesOf(propertyOf(schema, type));
  return { name, type: partTypes[type], required, maxBytes, attributesSchema };
}

function outputFrom({ name, type }: NamedType, asked: Schema | undefined) {
  return { name, type: partTypes[type], attributesSchema: textOf(asked) };
}

/** The bytes whose base64 is the longest that the schema of a data member lets through; 0: it sets no limit. */
function maxBytesOf(schema: Schema | undefined): bigint {
  const { maxB64DLen, maxLength } = schema ?? {};
  const bounds = [maxB64DLen, typeof maxLength === "number" ? Math.floor(maxLength / 4) * 3 : undefined];
  const given = bounds.filter((bound) => typeof bound === "number" && bound > 0);
  return given.length === 0 ? 0n : BigInt(Math.trunc(Math.min(...given.map(Number))));
}

/** What may stand beside the outputs' wishes under the names of the capabilities. */
function parametersFrom(file: SchemaFile): Schema | undefined {
  const schemas = file.capabilities.flatMap(({ name, accepts }) => {
    const schema = propertyOf(file.input, "parameter", name);
    return schema === undefined ? [] : [without(schema, (member) => accepts.some((accept) => accept.name === member))];
  });
  const [first] = schemas;
  if (first === undefined || schemas.length === 1) return first;
  return {
    type: "object",
    properties: Object.assign({}, ...schemas.map(({ properties }) => properties)),
    required: schemas.flatMap(requiredOf),
  };
}

function requiredOf(schema: Schema | undefined): readonly unknown[] {
  return Array.isArray(schema?.required) ? schema.required : [];
}

/** A schema of an object that says nothing of some of its members. */
function without(schema: Schema, isLeftOut: (name: string) => boolean): Schema {
  const { properties, required, ...rest } = schema;
  return {
    ...rest,
    ...(isRecord(properties)
      ? { properties: Object.fromEntries(Object.entries(properties).filter(([name]) => !isLeftOut(name))) }
      : {}),
    ...(Array.isArray(required) ? { required: required.filter((name) => !isLeftOut(name)) } : {}),
  };
}

function isDataMember(name: string): boolean {
  return Object.hasOwn(partTypes, name);
}

/** What an output's attributes are when its caller says nothing. */
function valuesThatAreSet(asked: Schema | undefined): Record<string, string> {
  const values: Record<string, string> = {};
  const properties = isRecord(asked?.properties) ? asked.properties : {};
  for (const [name, schema] of Object.entries(properties)) {
    const value = isRecord(schema) ? (schema.constVal ?? schema.defaultVal) : undefined;
    if (value !== undefined && value !== null) values[name] = textFromValue(value);
  }
  return values;
}

function textOf(schema: Schema | undefined): string {
  return schema === undefined ? "" : JSON.stringify(schema);
}
