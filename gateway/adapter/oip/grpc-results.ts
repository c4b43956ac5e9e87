import { create } from "@bufbuild/protobuf";
import { connectErrorFrom } from "../../../proto/connect-error.ts";
import { ServingError } from "../../../proto/errors.ts";
import {
  type InferParameter,
  InferParameterSchema,
  type ModelInferResponse,
  type ModelStreamInferResponse,
  ModelStreamInferResponseSchema,
} from "../../../proto/gen/inference/grpc_service_pb.ts";
import type { Session } from "../../session-pipeline.ts";

/** How the answers on a stream say which request they are for. */
export interface Addressee {
  readonly modelName: string;
  readonly modelVersion: string;
  /** The id of the request that the next answer is for; asked once for each. */
  nextId(): string;
  /** The id of the request that an error is about. */
  lastId(): string;
  /** What every answer says beside that. */
  readonly parameters?: Readonly<Record<string, InferParameter>>;
  /** Whether a last answer without outputs is wanted. */
  readonly wantsEmptyFinal: boolean;
  /** Whether an error ends the stream with its own code, and is no answer. */
  readonly endsAtError: boolean;
}

/** The results of a session as answers on a stream, each with a mark that says whether it is the last. */
export async function* answersFrom(
  session: Session<ModelInferResponse>,
  addressee: Addressee,
): AsyncGenerator<ModelStreamInferResponse> {
  try {
    for await (const event of session.events) {
      if (event.type === "opened") continue;
      const isFinal = event.status >= 2;
      const isEmpty = event.answer.outputs.length === 0;
      if (!isEmpty || (isFinal && addressee.wantsEmptyFinal)) yield answerFrom(event.answer, isFinal, addressee);
    }
  } catch (thrown) {
    yield failureFrom(ServingError.from(thrown), addressee);
  }
}

/** One answer on a stream. */
export function answerFrom(
  response: ModelInferResponse,
  isFinal: boolean,
  { nextId, parameters }: Pick<Addressee, "nextId" | "parameters">,
): ModelStreamInferResponse {
  response.id = nextId();
  // Triton says so whether it was asked or not.
  Object.assign(response.parameters, parameters, { triton_final_response: flag(isFinal) });
  return create(ModelStreamInferResponseSchema, { inferResponse: response });
}

/** An error as an answer. Throws it as a ConnectError where the stream ends with it. */
export function failureFrom(error: ServingError, addressee: Addressee): ModelStreamInferResponse {
  if (addressee.endsAtError) throw connectErrorFrom(error);
  const { modelName, modelVersion, parameters = {} } = addressee;
  const inferResponse = { modelName, modelVersion, id: addressee.lastId(), parameters: { ...parameters } };
  return create(ModelStreamInferResponseSchema, { errorMessage: error.message, inferResponse });
}

function flag(value: boolean): InferParameter {
  return create(InferParameterSchema, { parameterChoice: { case: "boolParam", value } });
}
