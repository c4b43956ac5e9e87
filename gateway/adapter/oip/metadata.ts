import packageJson from "../../../package.json" with { type: "json" };
import type { Datatype } from "../../../proto/tensor.ts";
import type { CompiledService, TensorShape } from "../../schema/compile.ts";

/** What the server says about itself. */
export const serverMetadata = {
  name: "athena-serving",
  version: packageJson.version,
  /** Those of the known names whose whole extension works here: clients look at them. */
  extensions: ["binary_tensor_data", "model_configuration", "parameters", "schedule_policy", "statistics"],
} as const;

/** A tensor as metadata names it. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

/** What the protocol tells about a model. */
export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** A model's configuration, as far as callers need it; names are Triton's. */
export interface ModelConfiguration {
  readonly name: string;
  readonly platform: string;
  readonly max_batch_size: number;
  readonly input: readonly (TensorConfiguration & { readonly optional: boolean })[];
  readonly output: readonly TensorConfiguration[];
  /** There for a model that gives any number of answers to a request of ModelStreamInfer. */
  readonly model_transaction_policy?: { readonly decoupled: true };
}

interface TensorConfiguration {
  readonly name: string;
  readonly data_type: `TYPE_${Exclude<Datatype, "BYTES"> | "STRING"}`;
  /** Without the rows, where the model has them. */
  readonly dims: readonly number[];
}

/** An input or output that is no tensor: one element of BYTES, which is its data. */
const oneElement: TensorShape = { datatype: "BYTES", shape: [1] };

/** The metadata of a service. */
export function metadataFrom({ id, version, definition, inputs, outputs }: CompiledService): ModelMetadata {
  const tensorFrom = ({ name, tensor = oneElement }: Stream): TensorMetadata => ({ name, ...tensor });
  return {
    name: id,
    versions: [version],
    platform: definition.platform,
    inputs: inputs.map(tensorFrom),
    outputs: outputs.map(tensorFrom),
  };
}

/** The configuration of a service. It has rows where all that goes in and out has them as its first, open dimension. */
export function configurationFrom({ id, definition, inputs, outputs }: CompiledService): ModelConfiguration {
  const hasRows = [...inputs, ...outputs].every(({ tensor }) => tensor?.shape[0] === -1);
  const maxRows = hasRows ? definition.maxBatchRows : 0;
  const tensorFrom = ({ name, tensor = oneElement }: Stream): TensorConfiguration => ({
    name,
    data_type: `TYPE_${tensor.datatype === "BYTES" ? "STRING" : tensor.datatype}`,
    dims: maxRows > 0 ? tensor.shape.slice(1) : tensor.shape,
  });
  return {
    name: id,
    platform: definition.platform,
    max_batch_size: maxRows,
    input: inputs.map((input) => ({ ...tensorFrom(input), optional: !input.required })),
    output: outputs.map(tensorFrom),
    ...(definition.stream ? { model_transaction_policy: { decoupled: true } } : {}),
  };
}

interface Stream {
  readonly name: string;
  readonly tensor: TensorShape | undefined;
}
