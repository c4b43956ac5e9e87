import { create } from "@bufbuild/protobuf";
import {
  DataType,
  type ModelConfigResponse,
  ModelConfigResponseSchema,
  type ModelInferResponse,
  ModelInferResponseSchema,
  type ModelMetadataResponse,
  ModelMetadataResponseSchema,
  type ModelStatisticsResponse,
  ModelStatisticsResponseSchema,
} from "../../../proto/gen/inference/grpc_service_pb.ts";
import type { Duration } from "../../telemetry/statistics.ts";
import { type OutputTensor, rawChunks, type TensorAnswer } from "./answer.ts";
import type { ModelConfiguration, ModelMetadata, TensorMetadata } from "./metadata.ts";
import type { ModelStatistics } from "./statistics.ts";

/** Writes an answer in the protocol's gRPC form, its data raw, as Triton does. */
export function encodeGrpcAnswer({ model, version, id, outputs }: TensorAnswer): ModelInferResponse {
  return create(ModelInferResponseSchema, {
    modelName: model,
    modelVersion: version,
    id,
    outputs: outputs.map(({ name, datatype, shape, parameters }) => ({
      name,
      datatype,
      shape: shape.map(BigInt),
      parameters: Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, textParameter(value)])),
    })),
    rawOutputContents: outputs.map(rawFrom),
  });
}

/** A model's metadata as a message. */
export function grpcMetadata({ inputs, outputs, ...metadata }: ModelMetadata): ModelMetadataResponse {
  return create(ModelMetadataResponseSchema, {
    ...metadata,
    versions: [...metadata.versions],
    inputs: inputs.map(grpcTensor),
    outputs: outputs.map(grpcTensor),
  });
}

/** A model's configuration as a message. */
export function grpcConfiguration(configuration: ModelConfiguration): ModelConfigResponse {
  const {
    name,
    platform,
    max_batch_size: maxBatchSize,
    input,
    output,
    model_transaction_policy: policy,
  } = configuration;
  const tensorFrom = (tensor: ModelConfiguration["output"][number]) => ({
    name: tensor.name,
    dataType: DataType[tensor.data_type],
    dims: tensor.dims.map(BigInt),
  });
  return create(ModelConfigResponseSchema, {
    config: {
      name,
      platform,
      maxBatchSize,
      input: input.map((tensor) => ({ ...tensorFrom(tensor), optional: tensor.optional })),
      output: output.map(tensorFrom),
      ...(policy === undefined ? {} : { modelTransactionPolicy: policy }),
    },
  });
}

/** Models' statistics as a message. */
export function grpcStatistics(entries: readonly ModelStatistics[]): ModelStatisticsResponse {
  return create(ModelStatisticsResponseSchema, {
    modelStats: entries.map(({ name, version, inference_stats: stats, ...entry }) => ({
      name,
      version,
      lastInference: BigInt(entry.last_inference),
      inferenceCount: BigInt(entry.inference_count),
      executionCount: BigInt(entry.execution_count),
      inferenceStats: {
        success: grpcDuration(stats.success),
        fail: grpcDuration(stats.fail),
        queue: grpcDuration(stats.queue),
        computeInput: grpcDuration(stats.compute_input),
        computeInfer: grpcDuration(stats.compute_infer),
        computeOutput: grpcDuration(stats.compute_output),
        cacheHit: grpcDuration(stats.cache_hit),
        cacheMiss: grpcDuration(stats.cache_miss),
      },
    })),
  });
}

function textParameter(value: string) {
  return { parameterChoice: { case: "stringParam" as const, value } };
}

/** A single chunk is not copied. */
function rawFrom(output: OutputTensor): Uint8Array {
  const chunks = rawChunks(output);
  const [only] = chunks;
  return only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks);
}

function grpcTensor({ name, datatype, shape }: TensorMetadata) {
  return { name, datatype, shape: shape.map(BigInt) };
}

function grpcDuration({ count, ns }: Duration) {
  return { count: BigInt(count), ns: BigInt(ns) };
}
