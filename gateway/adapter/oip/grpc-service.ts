import { ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { connectErrorFrom } from "../../../proto/connect-error.ts";
import { ServingError } from "../../../proto/errors.ts";
import {
  GRPCInferenceService,
  type ModelInferRequest,
  type ModelInferResponse,
  type RepositoryModelLoadRequest,
  type RepositoryModelUnloadRequest,
} from "../../../proto/gen/inference/grpc_service_pb.ts";
import { assertMayCall, type Caller } from "../../admission/admission.ts";
import type { Pipeline } from "../../pipeline.ts";
import type { ControlAction } from "../../service-control.ts";
import type { Call } from "../../types.ts";
import { type Exchange, exchangeFrom } from "../http.ts";
import { answererFor } from "../known-caller.ts";
import { callFromRpc, claimCall } from "../rpc-call.ts";
import { completeError, refusalFrom } from "../rpc-refusal.ts";
import { httpStatusFromError } from "../status.ts";
import { grpcConfiguration, grpcMetadata, grpcStatistics } from "./grpc-answer.ts";
import { createStreamInfer, type StreamInferOptions } from "./grpc-stream.ts";
import { configurationFrom, metadataFrom, serverMetadata } from "./metadata.ts";
import { indexOf, isServerReady, type ModelDirectory } from "./models.ts";
import type { ModelControl } from "./repository.ts";
import { modelStatisticsFrom } from "./statistics.ts";

/** What the protocol's gRPC service is built from. */
export interface GrpcServiceOptions extends Omit<StreamInferOptions, "infer"> {
  readonly pipeline: Pipeline<ModelInferRequest, ModelInferResponse>;
  readonly directory: ModelDirectory;
  readonly control: ModelControl;
  /** Told of every inference when its answer is known. */
  readonly observe: (exchange: Exchange) => void;
  /** An id for a request that reached no service. */
  readonly newSid: () => string;
  readonly isDraining: () => boolean;
  readonly now: () => number;
}

/** Adds the Open Inference Protocol to a gRPC port. */
export function addInferenceService(router: ConnectRouter, options: GrpcServiceOptions): void {
  const { directory, isDraining } = options;
  // What is not about health is for apps that admission knows.
  const answer = answererFor(options.admission);
  const about = <Answer>(model: string, context: HandlerContext, make: (caller: Caller) => Answer): Promise<Answer> =>
    answer(context, (caller) => {
      if (model !== "") assertMayCall(caller, model);
      return make(caller);
    });
  const control = (
    action: ControlAction,
    { modelName: model, parameters }: RepositoryModelLoadRequest | RepositoryModelUnloadRequest,
    context: HandlerContext,
  ) =>
    answer(context, async (caller, { signal, timeoutMs }) => {
      await options.control({ action, model, parameters: Object.keys(parameters), caller, signal, timeoutMs });
      return {};
    });
  const streamInfer = createStreamInfer({ ...options, infer: (request, call) => infer(request, call, options) });
  router.service(GRPCInferenceService, {
    serverLive: () => ({ live: true }),
    serverReady: () => ({ ready: !isDraining() && isServerReady(directory) }),
    serverMetadata: (_, context) =>
      answer(context, () => ({ ...serverMetadata, extensions: [...serverMetadata.extensions] })),
    modelReady: ({ name, version }, context) =>
      about(name, context, () => ({ ready: directory.isReady(name, version) })),
    modelMetadata: ({ name, version }, context) =>
      about(name, context, () => grpcMetadata(metadataFrom(directory.describe(name, version)))),
    modelConfig: ({ name, version }, context) =>
      about(name, context, () => grpcConfiguration(configurationFrom(directory.describe(name, version)))),
    modelStatistics: ({ name, version }, context) =>
      about(name, context, (caller) =>
        grpcStatistics(directory.statistics(name, version, caller).map(modelStatisticsFrom)),
      ),
    repositoryIndex: ({ ready }, context) =>
      answer(context, (caller) => ({ models: indexOf(directory, ready, caller).map((entry) => ({ ...entry })) })),
    repositoryModelLoad: (request, context) => control("load", request, context),
    repositoryModelUnload: (request, context) => control("unload", request, context),
    async modelInfer(request, context) {
      claimCall(context);
      const call = callFromRpc(context, request.modelName, request.modelVersion);
      const result = await infer(request, call, options);
      if (result instanceof ServingError) throw connectErrorFrom(result);
      return result;
    },
    modelStreamInfer: (requests, context) => streamInfer(readable(requests, context, options), context),
  });
}

async function infer(
  request: ModelInferRequest,
  call: Call,
  { pipeline, observe, now }: GrpcServiceOptions,
): Promise<ModelInferResponse | ServingError> {
  const started = now();
  const outcome = await pipeline(call, () => request);
  const status = outcome.result instanceof ServingError ? httpStatusFromError(outcome.result) : 200;
  const durationMs = now() - started;
  observe(exchangeFrom(outcome, { protocol: "grpc", status, durationMs, client: call.clientAddress }));
  return outcome.result;
}

/** The stream's requests. One that cannot be read ends it, and is a request like the others; a caller that leaves asks nothing. */
async function* readable(
  requests: AsyncIterable<ModelInferRequest>,
  context: HandlerContext,
  { observe, newSid }: GrpcServiceOptions,
): AsyncGenerator<ModelInferRequest> {
  try {
    yield* requests;
  } catch (thrown) {
    const read = ConnectError.from(thrown);
    const error = refusalFrom(read);
    if (context.signal.aborted || error.reason === "CANCELED") throw read;
    const sid = newSid();
    const { clientAddress: client } = callFromRpc(context, "", "");
    const status = httpStatusFromError(error);
    observe({ sid, service: "", protocol: "grpc", outcome: error.reason, status, durationMs: 0, client, error });
    completeError(read, error, sid);
    throw read;
  }
}
