import { type DescEnum, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import type { JsonObject } from "../api-part.ts";
import { schemaRef } from "../schema.ts";

/** The schemas of messages in protobuf's JSON, and of the messages that they are made of, by their full names. */
export function messageSchemas(messages: readonly DescMessage[]): Readonly<Record<string, JsonObject>> {
  const schemas: Record<string, JsonObject> = {};
  const add = (message: DescMessage): void => {
    if (Object.hasOwn(schemas, message.typeName)) return;
    const members = message.fields.map((field) => [field.jsonName, fieldSchema(field)]);
    schemas[message.typeName] = { type: "object", properties: Object.fromEntries(members) };
    for (const { message: inner } of message.fields) if (inner !== undefined) add(inner);
  };
  for (const message of messages) add(message);
  return schemas;
}

function fieldSchema(field: DescField): JsonObject {
  switch (field.fieldKind) {
    case "list":
      return { type: "array", items: valueSchema(field) };
    case "map":
      return { type: "object", additionalProperties: valueSchema(field) };
    default:
      return valueSchema(field);
  }
}

/** The schema of one value of a field. */
function valueSchema(field: DescField): JsonObject {
  if (field.message !== undefined) return schemaRef(field.message.typeName);
  if (field.enum !== undefined) return enumSchema(field.enum);
  return field.scalar === undefined ? {} : scalarSchema(field.scalar);
}

function enumSchema({ values }: DescEnum): JsonObject {
  return { type: "string", enum: values.map(({ name }) => name) };
}

function scalarSchema(type: ScalarType): JsonObject {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: "integer", minimum: 0, maximum: 4_294_967_295 };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: "integer", minimum: -2_147_483_648, maximum: 2_147_483_647 };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return { type: ["number", "string"] };
    default:
      // Of 64 bits: more than JSON's numbers hold.
      return { type: "string", pattern: "^-?[0-9]+$" };
  }
}
