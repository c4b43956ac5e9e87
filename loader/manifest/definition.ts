import { create } from "@bufbuild/protobuf";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { type ServiceDefinition, ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";
import type { ServiceManifest } from "./manifest.ts";

type Schemas = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const partTypes = {
  text: PartType.TEXT,
  audio: PartType.AUDIO,
  image: PartType.IMAGE,
  video: PartType.VIDEO,
  other: PartType.OTHER,
} as const;

/** The definition that callers are told, from which they validate and document. */
export function definitionFromManifest(manifest: ServiceManifest): ServiceDefinition {
  return create(ServiceDefinitionSchema, {
    id: manifest.id,
    version: manifest.version,
    description: manifest.description,
    inputs: Object.entries(manifest.inputs).map(([name, input]) => ({
      name,
      type: partTypes[input.type],
      required: input.required,
      maxBytes: BigInt(input.maxBytes),
      attributesSchema: input.attributes === undefined ? "" : objectSchema(input.attributes),
    })),
    outputs: Object.entries(manifest.outputs).map(([name, output]) => ({
      name,
      type: partTypes[output.type],
      attributes: defaultsOf(output.attributes ?? {}),
      attributesSchema: output.attributes === undefined ? "" : objectSchema(output.attributes),
    })),
    parametersSchema: objectSchema(manifest.parameters, manifest.requiredParameters),
    headerSchema: manifest.header === undefined ? "" : JSON.stringify(manifest.header),
    once: manifest.once,
    stream: manifest.stream,
    sidPrefix: manifest.sidPrefix,
    timeoutMs: manifest.timeoutMs,
  });
}

function objectSchema(properties: Schemas, required: readonly string[] = []): string {
  return JSON.stringify({ type: "object", properties, ...(required.length > 0 ? { required } : {}) });
}

function defaultsOf(schemas: Schemas): Record<string, string> {
  const defaults: Record<string, string> = {};
  for (const [name, schema] of Object.entries(schemas)) {
    const value = schema.default;
    if (value !== undefined && value !== null)
      defaults[name] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return defaults;
}
