import { type PartDescription, PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import type {
  InputDefinition,
  OutputDefinition,
  ServiceDefinition,
  TensorDefinition,
} from "../../proto/gen/athena/v1/service_pb.ts";
import { type Datatype, isDatatype } from "../../proto/tensor.ts";
import { assertDefinition, compileDefinedSchema, readDefinedSchema } from "./definition.ts";
import { isRecord, type JsonSchema } from "./dialect.ts";
import type { CompiledSchemaFile } from "./predecessor/overlay.ts";
import { compileSectionRewrite, type SectionRewrite } from "./rewrite.ts";
import type { SchemaCheck } from "./schema-check.ts";

/** One input of a service, ready to check requests. */
export interface CompiledInput {
  readonly name: string;
  readonly type: PartType;
  /** The payload member that holds its data, as in "image". */
  readonly member: string;
  readonly required: boolean;
  /** Infinity where the definition sets no limit. */
  readonly maxBytes: number;
  /** Undefined: its data is no tensor. */
  readonly tensor: TensorShape | undefined;
  readonly checkAttributes: SchemaCheck;
  readonly rewriteAttributes: SectionRewrite | undefined;
}

/** What a tensor must be; -1 in the shape is any size. */
export interface TensorShape {
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** One output of a service. */
export interface CompiledOutput {
  readonly name: string;
  /** What a caller gets that asks for nothing; frozen, since requests share it. */
  readonly expected: PartDescription;
  readonly tensor: TensorShape | undefined;
  readonly checkAttributes: SchemaCheck;
  readonly rewriteAttributes: SectionRewrite | undefined;
}

/** How an attribute of an answer shows in JSON. */
export type AttributeType = "string" | "number" | "boolean";

/** A service's definition, compiled once; every request to the service is checked with it. */
export interface CompiledService {
  readonly id: string;
  readonly version: string;
  /** The first three letters of its requests' ids. */
  readonly sidPrefix: string;
  readonly definition: ServiceDefinition;
  /** In the definition's order. */
  readonly inputs: readonly CompiledInput[];
  readonly outputs: readonly CompiledOutput[];
  readonly inputByName: ReadonlyMap<string, CompiledInput>;
  readonly outputByName: ReadonlyMap<string, CompiledOutput>;
  /** Undefined: any flat object. */
  readonly checkHeader: SchemaCheck | undefined;
  readonly checkParameters: SchemaCheck | undefined;
  readonly rewriteHeader: SectionRewrite | undefined;
  readonly rewriteParameters: SectionRewrite | undefined;
  /** Set where one of the predecessor's schema files describes the service's requests. */
  readonly schemaFile: CompiledSchemaFile | undefined;
  /** The declared types of the outputs' attributes, which an answer's JSON follows. */
  readonly outputTypes: ReadonlyMap<string, ReadonlyMap<string, AttributeType>>;
}

/** Attributes that every part may have though its definition does not name them: the protocol itself uses them. */
const protocolAttributes = {
  status: { type: ["integer", "null"], enum: [0, 1, 2, 3, null] },
  seq: { type: ["integer", "null"], minimum: 0 },
  encoding: { type: ["string", "null"] },
  compress: { type: ["string", "null"] },
  format: { type: ["string", "null"] },
  data_type: { type: ["string", "null"] },
} as const;

/**
 * Compiles a service's definition.
 *
 * @throws ServingError SERVICE_NOT_READY for a definition that is broken, naming the service and the key.
 */
export function compileService(definition: ServiceDefinition): CompiledService {
  assertDefinition(definition);
  const { id } = definition;
  const inputs = definition.inputs.map((input) => inputFrom(id, input));
  const outputs = definition.outputs.map((output) => outputFrom(id, output));
  return {
    id,
    version: definition.version,
    sidPrefix: definition.sidPrefix === "" ? "ase" : definition.sidPrefix,
    definition,
    inputs,
    outputs: outputs.map(({ compiled }) => compiled),
    inputByName: new Map(inputs.map((input) => [input.name, input])),
    outputByName: new Map(outputs.map(({ compiled }) => [compiled.name, compiled])),
    checkHeader: checkFrom(id, "header_schema", definition.headerSchema),
    checkParameters: checkFrom(id, "parameters_schema", definition.parametersSchema),
    rewriteHeader: compileSectionRewrite(definition.headerSchema),
    rewriteParameters: compileSectionRewrite(definition.parametersSchema),
    schemaFile: undefined,
    outputTypes: new Map(outputs.map(({ compiled, types }) => [compiled.name, types])),
  };
}

function checkFrom(service: string, key: string, text: string): SchemaCheck | undefined {
  const schema = readDefinedSchema(service, key, text);
  return schema === undefined ? undefined : compileDefinedSchema(service, key, schema);
}

function inputFrom(service: string, input: InputDefinition): CompiledInput {
  const key = `inputs.${input.name}.attributes_schema`;
  const schema = withProtocolAttributes(readDefinedSchema(service, key, input.attributesSchema));
  return {
    name: input.name,
    type: input.type,
    member: memberFromType(input.type),
    required: input.required,
    maxBytes: input.maxBytes === 0n ? Number.POSITIVE_INFINITY : Number(input.maxBytes),
    tensor: tensorFrom(input.tensor),
    checkAttributes: compileDefinedSchema(service, key, schema),
    rewriteAttributes: compileSectionRewrite(input.attributesSchema),
  };
}

function outputFrom(
  service: string,
  output: OutputDefinition,
): { compiled: CompiledOutput; types: ReadonlyMap<string, AttributeType> } {
  const key = `outputs.${output.name}.attributes_schema`;
  const declared = readDefinedSchema(service, key, output.attributesSchema);
  const expected: PartDescription = {
    $typeName: "athena.v1.PartDescription",
    name: output.name,
    type: output.type,
    attributes: Object.freeze({ ...output.attributes }),
  };
  const checkAttributes = compileDefinedSchema(service, key, withProtocolAttributes(declared));
  return {
    compiled: {
      name: output.name,
      expected: Object.freeze(expected),
      tensor: tensorFrom(output.tensor),
      checkAttributes,
      rewriteAttributes: compileSectionRewrite(output.attributesSchema),
    },
    types: attributeTypesFrom(declared),
  };
}

function tensorFrom(tensor: TensorDefinition | undefined): TensorShape | undefined {
  if (tensor === undefined || !isDatatype(tensor.datatype)) return undefined;
  return { datatype: tensor.datatype, shape: tensor.shape.map(Number) };
}

/** A schema of attributes, which the protocol's own may stand beside. */
export function withProtocolAttributes(schema: JsonSchema | undefined): JsonSchema {
  if (schema === undefined) return { type: ["object", "null"], properties: protocolAttributes };
  if (typeof schema === "boolean") return schema;
  const declared = isRecord(schema.properties) ? schema.properties : {};
  return { ...schema, properties: { ...protocolAttributes, ...declared } };
}

/** The declared types of an output's attributes, as far as they show in JSON as something else than texts. */
export function attributeTypesFrom(schema: JsonSchema | undefined): ReadonlyMap<string, AttributeType> {
  const types = new Map<string, AttributeType>();
  if (!isRecord(schema) || !isRecord(schema.properties)) return types;
  for (const [name, property] of Object.entries(schema.properties)) {
    const declared = isRecord(property) ? property.type : undefined;
    const names: unknown[] = Array.isArray(declared) ? declared.filter((type) => type !== "null") : [declared];
    if (names.length !== 1) continue;
    if (names[0] === "integer" || names[0] === "number") types.set(name, "number");
    else if (names[0] === "boolean" || names[0] === "bool") types.set(name, "boolean");
  }
  return types;
}

/** The unified protocol names the member after the type: `image` for IMAGE. */
function memberFromType(type: PartType): string {
  return (PartType[type] ?? "other").toLowerCase();
}
