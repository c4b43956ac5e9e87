import { create } from "@bufbuild/protobuf";
import { ServingError } from "../../proto/errors.ts";
import {
  InputDefinitionSchema,
  OutputDefinitionSchema,
  type ServiceDefinition,
  ServiceDefinitionSchema,
} from "../../proto/gen/athena/v1/service_pb.ts";
import { partTypes } from "../../proto/part-type.ts";
import type { Engine, EngineDescription } from "../engine/engine.ts";
import type { LocatedManifest, ServiceManifest } from "./manifest.ts";

type Schemas = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

type Examples = LocatedManifest["examples"];

/**
 * The definition that callers are told, from which they validate and document: what service.yaml says, and for the rest
 * what the engine told.
 */
export function definitionFrom(
  { manifest, examples }: Pick<LocatedManifest, "manifest" | "examples">,
  told?: EngineDescription,
): ServiceDefinition {
  const engine = create(ServiceDefinitionSchema, told);
  const kinds = engine.once || engine.stream ? engine : { once: true, stream: false };
  return create(ServiceDefinitionSchema, {
    ...engine,
    id: manifest.id,
    version: manifest.version,
    description: manifest.description || engine.description,
    inputs: manifest.inputs === undefined ? engine.inputs : inputsFrom(manifest.inputs, examples, engine),
    outputs: manifest.outputs === undefined ? engine.outputs : outputsFrom(manifest.outputs),
    parametersSchema: parametersFrom(manifest) ?? (engine.parametersSchema || objectSchema({})),
    headerSchema: manifest.header === undefined ? "" : JSON.stringify(manifest.header),
    once: manifest.once ?? kinds.once,
    stream: manifest.stream ?? kinds.stream,
    sidPrefix: manifest.sidPrefix,
    timeoutMs: manifest.timeoutMs,
    platform: engine.platform || manifest.engine.kind,
    personalResources: manifest.resources !== undefined,
  });
}

function parametersFrom({ parameters, requiredParameters }: ServiceManifest): string | undefined {
  return parameters === undefined ? undefined : objectSchema(parameters, requiredParameters);
}

/**
 * Checks that a service's inputs and outputs are known from one side or the other, and that its engine can do what
 * service.yaml says.
 *
 * @throws ServingError SERVICE_NOT_READY, naming the key of service.yaml.
 */
export function assertDescribed(
  manifest: ServiceManifest,
  told: EngineDescription | undefined,
  engine: Pick<Engine, "resources">,
): void {
  if (manifest.resources !== undefined && engine.resources === undefined) {
    const message = `service '${manifest.id}': service.yaml has resources, and its ${manifest.engine.kind} engine takes none`;
    throw new ServingError("SERVICE_NOT_READY", message);
  }
  for (const key of ["inputs", "outputs"] as const) {
    if (manifest[key] !== undefined || (told?.[key].length ?? 0) > 0) continue;
    const message = `service '${manifest.id}': service.yaml has no ${key}, and its ${manifest.engine.kind} engine does not tell them`;
    throw new ServingError("SERVICE_NOT_READY", message);
  }
}

function inputsFrom(inputs: NonNullable<ServiceManifest["inputs"]>, examples: Examples, told: EngineDescription) {
  return Object.entries(inputs).map(([name, input]) =>
    create(InputDefinitionSchema, {
      name,
      type: partTypes[input.type],
      required: input.required,
      maxBytes: BigInt(input.maxBytes),
      attributesSchema: input.attributes === undefined ? "" : objectSchema(input.attributes),
      example: examples.get(name) ?? told.inputs.find((known) => known.name === name)?.example ?? new Uint8Array(0),
      ...tensorFrom(input.tensor),
    }),
  );
}

function outputsFrom(outputs: NonNullable<ServiceManifest["outputs"]>) {
  return Object.entries(outputs).map(([name, output]) =>
    create(OutputDefinitionSchema, {
      name,
      type: partTypes[output.type],
      attributes: defaultsOf(output.attributes ?? {}),
      attributesSchema: output.attributes === undefined ? "" : objectSchema(output.attributes),
      ...tensorFrom(output.tensor),
    }),
  );
}

function tensorFrom(tensor: { datatype: string; shape: readonly number[] } | undefined) {
  return tensor === undefined ? {} : { tensor: { datatype: tensor.datatype, shape: tensor.shape.map(BigInt) } };
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
