import type { InputDefinition, OutputDefinition } from "../../../proto/gen/athena/v1/service_pb.ts";
import type { Datatype } from "../../../proto/tensor.ts";
import { type CompiledService, type TensorShape, withProtocolAttributes } from "../../schema/compile.ts";
import { readDefinedSchema } from "../../schema/definition.ts";
import { isRecord } from "../../schema/dialect.ts";
import type { JsonObject } from "../api-part.ts";
import { placeSchema } from "../schema.ts";

/** An input or output that is no tensor: one element of BYTES, which is its data. */
const oneElement: TensorShape = { datatype: "BYTES", shape: [1] };

/** The schema of one input in a request, as it stands in a document at `pointer`. */
export function inputTensorSchema(service: CompiledService, input: InputDefinition, pointer: string): JsonObject {
  const tensor = service.inputByName.get(input.name)?.tensor;
  const limit = input.maxBytes > 0n ? ` At most ${input.maxBytes} bytes.` : "";
  const { type, properties, required } = tensorSchema(input.name, tensor, limit);
  const attributes = attributesSchema(service, "inputs", input, `${pointer}/properties/parameters`, {
    binary_data_size: { type: "integer", minimum: 0, description: "Bytes behind the JSON, in place of `data`." },
  });
  return { type, properties: { ...properties, parameters: attributes }, required };
}

/** The schema of one output that a request asks for. */
export function wishSchema(service: CompiledService, output: OutputDefinition, pointer: string): JsonObject {
  const parameters = attributesSchema(service, "outputs", output, `${pointer}/properties/parameters`, {
    binary_data: { type: "boolean", description: "Whether its data comes behind the JSON." },
  });
  return { type: "object", properties: { name: { const: output.name }, parameters }, required: ["name"] };
}

/** The schema of one output in an answer. */
export function outputTensorSchema({ outputByName }: CompiledService, { name }: OutputDefinition): JsonObject {
  const { type, properties, required } = tensorSchema(name, outputByName.get(name)?.tensor, "");
  const parameters = {
    type: "object",
    properties: { binary_data_size: { type: "integer", minimum: 0 } },
    additionalProperties: { type: "string" },
    description: "What the engine says about it; with `binary_data_size` its data stands behind the JSON.",
  };
  return { type, properties: { ...properties, parameters }, required };
}

function tensorSchema(name: string, tensor: TensorShape | undefined, limit: string) {
  const { datatype, shape } = tensor ?? oneElement;
  const nature = tensor === undefined ? "One element, which is the data." : "Its elements, flat or nested.";
  const element = elementSchema(datatype);
  const data =
    element === undefined
      ? { description: `${datatype} has no JSON form: its data is binary.${limit}` }
      : { type: "array", items: { anyOf: [element, { type: "array" }] }, description: nature + limit };
  return {
    type: "object",
    properties: { name: { const: name }, datatype: { const: datatype }, shape: shapeSchema(shape), data },
    required: ["name", "datatype", "shape"],
  } as const;
}

function shapeSchema(shape: readonly number[]): JsonObject {
  const sizes = shape.map((size) => (size < 0 ? { type: "integer", minimum: 0 } : { const: size }));
  return {
    type: "array",
    ...(sizes.length === 0 ? {} : { prefixItems: sizes }),
    minItems: sizes.length,
    maxItems: sizes.length,
    description: `[${shape.join(", ")}]${shape.includes(-1) ? ", where -1 is any size" : ""}`,
  };
}

const bits: Partial<Record<Datatype, number>> = { INT8: 8, INT16: 16, INT32: 32, UINT8: 8, UINT16: 16, UINT32: 32 };

/** The schema of one element in JSON; undefined for datatypes that have no such form. */
function elementSchema(datatype: Datatype): JsonObject | undefined {
  switch (datatype) {
    case "BOOL":
      return { type: "boolean" };
    case "BYTES":
      return { type: "string" };
    case "FP16":
    case "BF16":
      return undefined;
    case "FP32":
    case "FP64":
      return { type: "number" };
    default:
      return integerSchema(datatype.startsWith("U"), bits[datatype]);
  }
}

/** Bounds of 64 bits are left out: most readers' numbers cannot hold them. */
function integerSchema(isUnsigned: boolean, size: number | undefined): JsonObject {
  const least = isUnsigned ? { minimum: 0 } : size === undefined ? {} : { minimum: -(2 ** (size - 1)) };
  const most = size === undefined ? {} : { maximum: 2 ** (isUnsigned ? size : size - 1) - 1 };
  return { type: "integer", ...least, ...most };
}

function attributesSchema(
  { id }: CompiledService,
  section: "inputs" | "outputs",
  { name, attributesSchema: text }: Pick<InputDefinition, "name" | "attributesSchema">,
  pointer: string,
  own: JsonObject,
): unknown {
  const declared = readDefinedSchema(id, `${section}.${name}.attributes_schema`, text);
  const placed = placeSchema(withProtocolAttributes(declared), pointer);
  if (!isRecord(placed)) return placed;
  return { ...placed, properties: { ...(isRecord(placed.properties) ? placed.properties : {}), ...own } };
}
