import { create } from "@bufbuild/protobuf";
import { PartType } from "../../proto/gen/athena/v1/part_pb.ts";
import { type ServiceDefinition, ServiceDefinitionSchema } from "../../proto/gen/athena/v1/service_pb.ts";

const choice = (...values: (string | number)[]) => ({
  type: typeof values[0] === "number" ? "integer" : "string",
  enum: values,
});
const text = (maxLength: number) => ({ type: "string", maxLength });

/** The service of the predecessor's demo, with its complete schema, as the tests of this folder use it. */
export function mmocrDefinition(changes: Partial<ServiceDefinition> = {}): ServiceDefinition {
  const definition = create(ServiceDefinitionSchema, {
    id: "mmocr",
    version: "v1",
    inputs: [
      {
        name: "data",
        type: PartType.IMAGE,
        required: true,
        maxBytes: 10_485_760n,
        attributesSchema: JSON.stringify({ encoding: choice("jpg", "png", "bmp", "jpeg"), status: choice(3) }),
      },
    ],
    outputs: [
      {
        name: "boxes",
        type: PartType.TEXT,
        attributes: { encoding: "utf8", compress: "raw", format: "json" },
        attributesSchema: JSON.stringify({
          encoding: choice("utf8", "gb2312"),
          compress: choice("raw", "gzip"),
          format: choice("plain", "json", "xml"),
          rate: { type: "number" },
          final: { type: "boolean" },
        }),
      },
    ],
    parametersSchema: JSON.stringify({
      type: "object",
      properties: {
        category: choice("ai_category"),
        application_mode: choice("common_gpu"),
        gpu_id: choice("first"),
        gpu_type: choice("T4G16"),
        threshold: { type: "number", minimum: 0, maximum: 1 },
      },
      required: ["category", "application_mode", "gpu_id", "gpu_type"],
    }),
    headerSchema: JSON.stringify({
      type: "object",
      properties: {
        ...Object.fromEntries(["app_id", "uid", "did", "imei", "imsi", "mac"].map((name) => [name, text(50)])),
        directEngIp: text(1024),
        net_type: choice("wifi", "2G", "3G", "4G", "5G"),
        net_isp: choice("CMCC", "CUCC", "CTCC", "other"),
        status: choice(3),
        request_id: text(64),
        patch_id: { type: "array", items: text(1024) },
      },
      required: ["app_id", "status"],
    }),
  });
  return { ...definition, ...changes };
}
