import { create } from "@bufbuild/protobuf";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { type ServiceDefinition, ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";

const tensor = (datatype: string, ...shape: number[]) => ({ datatype, shape: shape.map(BigInt) });

/** A service of tensors, one of which may be left out, and of a part that is no tensor. */
export function tensorsDefinition(changes: Partial<ServiceDefinition> = {}): ServiceDefinition {
  return {
    ...create(ServiceDefinitionSchema, {
      id: "tensors",
      version: "1",
      platform: "onnxruntime_onnx",
      inputs: [
        { name: "x", type: PartType.OTHER, required: true, tensor: tensor("FP32", -1, 2) },
        { name: "flags", type: PartType.OTHER, maxBytes: 4n, tensor: tensor("BOOL", -1) },
        {
          name: "note",
          type: PartType.TEXT,
          maxBytes: 10n,
          attributesSchema: JSON.stringify({ encoding: { type: "string", enum: ["utf8"] } }),
        },
      ],
      outputs: [
        { name: "y", type: PartType.OTHER, tensor: tensor("FP32", -1) },
        { name: "half", type: PartType.OTHER, tensor: tensor("FP16", -1) },
        { name: "note", type: PartType.TEXT, attributes: { encoding: "utf8", format: "plain" } },
      ],
      parametersSchema: JSON.stringify({ type: "object", properties: { seed: { type: "integer" } } }),
      once: true,
    }),
    ...changes,
  };
}
