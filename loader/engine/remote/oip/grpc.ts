import type { MessageInitShape } from "@bufbuild/protobuf";
import { ServingError } from "../../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../../proto/gen/athena/v1/inference_pb.ts";
import type {
  ModelConfig,
  ModelInferRequestSchema,
  ModelInferResponse,
  ModelMetadataResponse,
  ModelMetadataResponse_TensorMetadata,
} from "../../../../proto/gen/inference/grpc_service_pb.ts";
import type { EngineResult } from "../../engine.ts";
import { joinParts } from "../join-parts.ts";
import type { RemoteProtocol, RemoteProtocolOptions } from "../protocol.ts";
import { unusableError } from "../server-error.ts";
import { wholeInput } from "../session-input.ts";
import { createGrpcClient, type GrpcBounds, type GrpcClient } from "./grpc-client.ts";
import { isFinal, streamedResponses } from "./grpc-stream.ts";
import { tensorsFromResponse } from "./grpc-tensors.ts";
import { describeModel, type RemoteModel } from "./model.ts";
import { oipParameters } from "./parameters.ts";
import { partsFromTensors, tensorsFromParts } from "./tensors.ts";

/** What the Open Inference Protocol over gRPC is told. */
export interface OipGrpcOptions {
  /** Empty: the server chooses. */
  readonly modelVersion: string;
  /** Calls go through ModelStreamInfer. */
  readonly stream: boolean;
}

type InferInit = MessageInitShape<typeof ModelInferRequestSchema>;

/** An answer with more results than this does not end. */
const maxOnceResults = 1000;

/** Speaks the Open Inference Protocol over gRPC. */
export function createOipGrpc(options: RemoteProtocolOptions & OipGrpcOptions): RemoteProtocol {
  const { service, model: name, modelVersion: version, declared } = options;
  const grpc = createGrpcClient(options);
  let model: RemoteModel | undefined;
  let isDecoupled = options.stream;

  const requestFrom = (request: InferRequest, own: Record<string, boolean> = {}): InferInit => {
    if (model === undefined) throw new ServingError("INTERNAL", "inference before the metadata is known");
    const parameters = { ...oipParameters(request.parameters, declared.parameters ?? {}), ...own };
    const tensors = tensorsFromParts(request, model);
    return {
      modelName: name,
      modelVersion: version,
      id: request.sid,
      parameters: Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, parameterFrom(value)])),
      inputs: tensors.map((tensor) => ({ ...tensor, shape: tensor.shape.map(BigInt) })),
      outputs: request.expects.map((output) => ({ name: output.name })),
      rawInputContents: tensors.map(({ data }) => data),
    };
  };
  const resultOf = (response: ModelInferResponse, request: InferRequest) =>
    partsFromTensors(service, tensorsFromResponse(service, response), request.expects);

  const streamResults = async function* (request: InferRequest, bounds: GrpcBounds): AsyncGenerator<EngineResult> {
    // A decoupled model may give its last result long before it is done; then the end is told by itself.
    const init = requestFrom(request, { triton_enable_empty_final_response: true });
    const { idleTimeoutMs } = options;
    let status = Status.BEGIN;
    for await (const response of streamedResponses({ service, grpc, request: init, bounds, idleTimeoutMs })) {
      if (isFinal(response)) status = Status.END;
      yield { parts: resultOf(response, request), status };
      if (status === Status.BEGIN) status = Status.CONTINUE;
    }
    if (status !== Status.END) yield { parts: [], status: Status.END };
  };

  return {
    probe: (signal) => askReady(options, grpc, signal),
    async describe(signal) {
      const bounds = { signal, timeoutMs: undefined };
      const [metadata, config] = await grpc.call(bounds, async (client, call) => {
        const { extensions } = await client.serverMetadata({}, call);
        const hasConfig = extensions.includes("model_configuration");
        return [
          await client.modelMetadata({ name, version }, call),
          hasConfig ? (await client.modelConfig({ name, version }, call)).config : undefined,
        ] as const;
      });
      model = modelFrom(metadata, config);
      isDecoupled = options.stream && (config?.modelTransactionPolicy?.decoupled ?? config === undefined);
      return describeModel(model, options.stream);
    },
    async infer(request, signal, timeoutMs) {
      const bounds = { signal, timeoutMs };
      // Any other model can be asked for its one answer, and then an error has its code.
      if (isDecoupled) return together(service, streamResults(request, bounds));
      const init = requestFrom(request);
      const response = await grpc.call(bounds, (client, call) => client.modelInfer(init, call));
      return { parts: resultOf(response, request), status: Status.ONCE };
    },
    async *stream(request, inputs, signal, timeoutMs) {
      const parts = await wholeInput(inputs, signal);
      yield* streamResults({ ...request, parts }, { signal, timeoutMs });
    },
    close: () => grpc.close(),
  };
}

/** The model's word counts: a server that has several may not be ready because of another. */
async function askReady(
  { service, model: name, modelVersion: version }: RemoteProtocolOptions & OipGrpcOptions,
  grpc: GrpcClient,
  signal: AbortSignal,
): Promise<void> {
  const bounds = { signal, timeoutMs: undefined };
  const { ready } = await grpc.call(bounds, (client, call) => client.modelReady({ name, version }, call));
  if (ready) return;
  const server = await grpc.call(bounds, (client, call) => client.serverReady({}, call));
  const who = server.ready ? "model" : "model server";
  throw new ServingError("SERVICE_NOT_READY", `the ${who} of service '${service}' is not ready`);
}

async function together(service: string, results: AsyncIterable<EngineResult>): Promise<EngineResult> {
  const parts: EngineResult["parts"] = [];
  let count = 0;
  for await (const result of results) {
    count += 1;
    if (count > maxOnceResults) throw unusableError(service, `it has more than ${maxOnceResults} results`);
    parts.push(...result.parts);
  }
  const joined = joinParts(parts);
  if (joined === undefined) throw unusableError(service, "its results do not fit together: call it as a stream");
  return { parts: joined, status: Status.ONCE };
}

function parameterFrom(value: string | number | boolean) {
  if (typeof value === "boolean") return { parameterChoice: { case: "boolParam" as const, value } };
  if (typeof value === "string") return { parameterChoice: { case: "stringParam" as const, value } };
  if (!Number.isSafeInteger(value)) return { parameterChoice: { case: "doubleParam" as const, value } };
  return { parameterChoice: { case: "int64Param" as const, value: BigInt(value) } };
}

function modelFrom(metadata: ModelMetadataResponse, config: ModelConfig | undefined): RemoteModel {
  const tensorFrom = ({ name, datatype, shape }: ModelMetadataResponse_TensorMetadata) => ({
    name,
    datatype,
    shape: shape.map(Number),
    required: config?.input.find((input) => input.name === name)?.optional !== true,
    isBase64: false,
  });
  return {
    platform: metadata.platform,
    inputs: metadata.inputs.map(tensorFrom),
    outputs: metadata.outputs.map(tensorFrom),
    maxBatchRows: config?.maxBatchSize ?? 0,
  };
}
