import { create } from "@bufbuild/protobuf";
import { PartType } from "../../../../proto/gen/athena/v1/part_pb.ts";
import {
  InputDefinitionSchema,
  OutputDefinitionSchema,
  TensorDefinitionSchema,
} from "../../../../proto/gen/athena/v1/service_pb.ts";
import type { EngineDescription } from "../../engine.ts";

/** One input or output as the server's metadata has it. */
export interface RemoteTensor {
  readonly name: string;
  readonly datatype: string;
  /** -1: any size. */
  readonly shape: readonly number[];
  /** False for an input that a request may leave out. */
  readonly required: boolean;
  /** In JSON its elements are base64 and not text, as MLServer's content type "base64" says. */
  readonly isBase64: boolean;
}

/** What a server's metadata says about a model. No inputs or outputs: it does not say, as for MLServer's own models. */
export interface RemoteModel {
  readonly platform: string;
  readonly inputs: readonly RemoteTensor[];
  readonly outputs: readonly RemoteTensor[];
  /** The most rows that are computed together; 0: not told, or no batches. */
  readonly maxBatchRows: number;
}

/** What the loader is told of a model. */
export function describeModel(model: RemoteModel, stream: boolean): EngineDescription {
  const tensorOf = ({ datatype, shape }: RemoteTensor) =>
    create(TensorDefinitionSchema, { datatype, shape: shape.map(BigInt) });
  return {
    description: "",
    inputs: model.inputs.map((input) =>
      create(InputDefinitionSchema, {
        name: input.name,
        type: PartType.OTHER,
        required: input.required,
        tensor: tensorOf(input),
      }),
    ),
    outputs: model.outputs.map((output) =>
      create(OutputDefinitionSchema, { name: output.name, type: PartType.OTHER, tensor: tensorOf(output) }),
    ),
    parametersSchema: "",
    once: true,
    stream,
    platform: model.platform,
    maxBatchRows: model.maxBatchRows,
  };
}
