import { create } from "@bufbuild/protobuf";
import { PartType } from "../../../../proto/gen/athena/v1/part_pb.ts";
import { InputDefinitionSchema, OutputDefinitionSchema } from "../../../../proto/gen/athena/v1/service_pb.ts";
import type { EngineDescription } from "../../engine.ts";
import type { ParameterSchemas } from "../protocol.ts";

/** What callers may set when service.yaml declares no parameters of its own. */
export const chatParameters: ParameterSchemas = {
  temperature: { type: "number", minimum: 0, maximum: 2 },
  top_p: { type: "number", minimum: 0, maximum: 1 },
  max_tokens: { type: "integer", minimum: 1 },
  // Gateways join lists by ";".
  stop: { type: "array", items: { type: "string", pattern: "^[^;]+$" }, maxItems: 4 },
  seed: { type: "integer" },
  presence_penalty: { type: "number", minimum: -2, maximum: 2 },
  frequency_penalty: { type: "number", minimum: -2, maximum: 2 },
  response_format: { type: "object" },
};

/** The service that a chat model is, told to the loader. */
export function chatDefinition(): EngineDescription {
  const input = (name: string) => create(InputDefinitionSchema, { name, type: PartType.TEXT });
  const output = (name: string, attributes: Record<string, string> = {}) =>
    create(OutputDefinitionSchema, { name, type: PartType.TEXT, attributes });
  return {
    description: "",
    inputs: [input("messages"), input("prompt")],
    outputs: [output("result"), output("reasoning"), output("usage", { format: "json" })],
    parametersSchema: JSON.stringify({ type: "object", properties: chatParameters }),
    once: true,
    stream: true,
    platform: "openai_chat",
    maxBatchRows: 0,
  };
}
