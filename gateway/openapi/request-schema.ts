import type { InputDefinition, OutputDefinition } from "../../proto/gen/athena/v1/service_pb.ts";
import { memberFromType } from "../envelope/data-member.ts";
import { type CompiledService, withProtocolAttributes } from "../schema/compile.ts";
import { readDefinedSchema } from "../schema/definition.ts";
import { isRecord, type JsonSchema } from "../schema/dialect.ts";
import type { JsonObject } from "./api-part.ts";
import { placeSchema, pointerStep } from "./schema.ts";

/**
 * The schema of a service's requests in the unified protocol, as it stands in a document at `pointer`. The inputs of one
 * that opens a session may come later.
 */
export function requestSchema(service: CompiledService, pointer: string, isOpening = false): JsonSchema {
  const { schemaFile } = service;
  if (schemaFile !== undefined) return placeSchema(withData(service, schemaFile.jsonSchema), pointer);
  const at = (...names: readonly string[]) =>
    pointer + names.map((name) => `/properties/${pointerStep(name)}`).join("");
  const payload = payloadSchema(service, at("payload"), isOpening);
  const isPayloadRequired = Array.isArray(payload.required) && payload.required.length > 0;
  return {
    type: "object",
    properties: {
      header: headerSchema(service, at("header")),
      parameter: {
        type: "object",
        properties: { [service.id]: parametersSchema(service, at("parameter", service.id)) },
        additionalProperties: false,
      },
      payload,
    },
    required: isPayloadRequired ? ["header", "payload"] : ["header"],
    additionalProperties: false,
  };
}

/** The schema of a service's inputs; any of them, and the data of each, may be missing from a part of a session. */
export function payloadSchema(service: CompiledService, pointer: string, isPartial: boolean): JsonObject {
  const inputs = service.definition.inputs.map((input) => {
    const given = isPartial ? { ...input, required: false } : input;
    return [input.name, inputSchema(service, given, `${pointer}/properties/${pointerStep(input.name)}`)];
  });
  const required = service.inputs.filter((input) => input.required && !isPartial).map(({ name }) => name);
  return { type: "object", properties: Object.fromEntries(inputs), required, additionalProperties: false };
}

function headerSchema({ id, definition }: CompiledService, pointer: string): JsonSchema {
  const schema = readDefinedSchema(id, "header_schema", definition.headerSchema);
  if (schema !== undefined) return placeSchema(schema, pointer);
  return {
    type: "object",
    description: "What the caller says about itself: a flat object.",
    properties: {
      app_id: { type: "string", minLength: 1 },
      uid: { type: ["string", "null"] },
      status: {
        type: ["integer", "null"],
        enum: [0, 1, 2, 3, null],
        description: "3: the whole request in one message.",
      },
    },
    required: ["app_id"],
  };
}

function parametersSchema(service: CompiledService, pointer: string): JsonSchema {
  const { id, definition } = service;
  const schema = readDefinedSchema(id, "parameters_schema", definition.parametersSchema) ?? { type: "object" };
  const placed = placeSchema(schema, pointer);
  if (!isRecord(placed)) return placed;
  const wishes = definition.outputs.map((output) => {
    const key = `outputs.${output.name}.attributes_schema`;
    const wish = withProtocolAttributes(readDefinedSchema(id, key, output.attributesSchema));
    return [output.name, described(placeSchema(wish, `${pointer}/properties/${pointerStep(output.name)}`), output)];
  });
  const declared = isRecord(placed.properties) ? placed.properties : {};
  return { ...placed, properties: { ...declared, ...Object.fromEntries(wishes) } };
}

function described(wish: JsonSchema, { name, attributes }: OutputDefinition): JsonSchema {
  const usual = Object.entries(attributes).map(([key, value]) => `${key} ${value}`);
  const otherwise = usual.length === 0 ? "" : `; without it: ${usual.join(", ")}`;
  return isRecord(wish) ? { description: `How the output '${name}' is wanted${otherwise}.`, ...wish } : wish;
}

function inputSchema({ id }: CompiledService, input: InputDefinition, pointer: string): JsonSchema {
  const key = `inputs.${input.name}.attributes_schema`;
  const schema = placeSchema(withProtocolAttributes(readDefinedSchema(id, key, input.attributesSchema)), pointer);
  if (!isRecord(schema)) return schema;
  const member = memberFromType(input.type);
  const declared = isRecord(schema.properties) ? schema.properties : {};
  const required: readonly unknown[] = Array.isArray(schema.required) ? schema.required : [];
  return {
    ...schema,
    properties: { ...declared, [member]: dataSchema(input) },
    required: input.required ? [...required, member] : required,
  };
}

function dataSchema({ maxBytes, tensor, type }: InputDefinition): JsonObject {
  const limit = maxBytes > 0n ? `, at most ${maxBytes} bytes before it` : "";
  const kind =
    tensor === undefined ? "" : `; the elements of a tensor of ${tensor.datatype}, shape [${tensor.shape.join(",")}]`;
  return {
    // The data of an object or list in place of a text is its JSON.
    ...(memberFromType(type) === "text" || memberFromType(type) === "other" ? {} : { type: "string" }),
    contentEncoding: "base64",
    description: `Standard base64${limit}${kind}.`,
  };
}

/** Says of the data members of a schema file's streams that they are base64. */
function withData({ inputs }: CompiledService, schema: JsonSchema): JsonSchema {
  if (!isRecord(schema)) return schema;
  const edit = (value: unknown, [name, ...rest]: readonly string[]): unknown => {
    if (!isRecord(value)) return value;
    if (name === undefined) return { ...value, contentEncoding: "base64" };
    if (!isRecord(value.properties) || !Object.hasOwn(value.properties, name)) return value;
    return { ...value, properties: { ...value.properties, [name]: edit(value.properties[name], rest) } };
  };
  let edited: unknown = schema;
  for (const { name, member } of inputs) edited = edit(edited, ["payload", name, member]);
  return isRecord(edited) ? edited : schema;
}
