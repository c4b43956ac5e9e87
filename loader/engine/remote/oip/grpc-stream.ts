import type { MessageInitShape } from "@bufbuild/protobuf";
import { createCallScope } from "../../../../proto/call-scope.ts";
import { ServingError } from "../../../../proto/errors.ts";
import type { ModelInferRequestSchema, ModelInferResponse } from "../../../../proto/gen/inference/grpc_service_pb.ts";
import { serverError, silentError, unusableError } from "../server-error.ts";
import { watchSilence } from "../silence.ts";
import { errorFromThrown, type GrpcBounds, type GrpcClient } from "./grpc-client.ts";

/** A call whose answer comes in any number of results. */
export interface StreamedCall {
  /** The service's id, for messages. */
  readonly service: string;
  readonly grpc: GrpcClient;
  readonly request: MessageInitShape<typeof ModelInferRequestSchema>;
  readonly bounds: GrpcBounds;
  /** How long the server may send nothing. */
  readonly idleTimeoutMs: number;
}

/**
 * Sends one request through ModelStreamInfer and gives its results as they come. Leaving the loop early resets the
 * stream.
 *
 * @throws ServingError
 */
export async function* streamedResponses(call: StreamedCall): AsyncGenerator<ModelInferResponse> {
  const { service, grpc, request, bounds, idleTimeoutMs } = call;
  using scope = createCallScope(bounds.signal);
  const { signal } = scope;
  const onSilence = (): void => scope.abort(silentError(service, idleTimeoutMs));
  try {
    const answers = await grpc.call({ ...bounds, signal }, async (client, init) =>
      client.modelStreamInfer(single(request), init),
    );
    for await (const { errorMessage, inferResponse } of watchSilence(answers, idleTimeoutMs, onSilence)) {
      // Words alone. Triton would give the status too, for the header triton_grpc_error: and then crash, now and then (2.51).
      if (errorMessage !== "") throw serverError(service, "ENGINE_FAILED", errorMessage);
      if (inferResponse === undefined) throw unusableError(service, "a result is empty");
      yield inferResponse;
      if (isFinal(inferResponse)) return;
    }
  } catch (thrown) {
    throw errorFromThrown(service, thrown, signal);
  } finally {
    scope.abort(new ServingError("CANCELED", "nobody reads any more"));
  }
}

/** Whether a server says that no more results come; not every one does, and then the stream ends without. */
export function isFinal({ parameters }: ModelInferResponse): boolean {
  return parameters.triton_final_response?.parameterChoice.value === true;
}

async function* single<Item>(item: Item): AsyncGenerator<Item> {
  yield item;
}
