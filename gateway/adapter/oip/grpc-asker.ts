import { createCallScope } from "../../../proto/call-scope.ts";
import { ServingError } from "../../../proto/errors.ts";
import type {
  ModelInferRequest,
  ModelInferResponse,
  ModelStreamInferResponse,
} from "../../../proto/gen/inference/grpc_service_pb.ts";
import type { Admission } from "../../admission/admission.ts";
import { openInferenceSequences, openInferenceStreams } from "../../dialects.ts";
import type { CompiledService } from "../../schema/compile.ts";
import type { SessionPipeline } from "../../session-pipeline.ts";
import type { Call, SessionFrame, TensorRequest } from "../../types.ts";
import { callerOf } from "../caller-of.ts";
import { resultFromResponse } from "./answer.ts";
import { encodeGrpcAnswer } from "./grpc-answer.ts";
import { decodeGrpcRequest, wantsEmptyFinal } from "./grpc-request.ts";
import { type Addressee, answerFrom, answersFrom, failureFrom } from "./grpc-results.ts";
import type { BegunSequence } from "./sequences.ts";

type Answers = AsyncGenerator<ModelStreamInferResponse>;

/** Asks services what the requests of one stream ask. The answers include errors, and are computed as they are read. */
export interface Asker {
  /** Asks in one call where the service answers such alone, and in a session otherwise. */
  ask(request: ModelInferRequest): Answers;
  /** Answers a request with an error, which is logged and counted like any other. */
  refuse(request: ModelInferRequest, error: ServingError): Answers;
  runSequence(sequence: BegunSequence): Answers;
  /** Throws ServingError for a service that has no sequences, or is not there. */
  assertHasSequences(request: ModelInferRequest): void;
}

/** What {@link createAsker} works with. */
export interface AskerOptions {
  /** Answers one request with one answer, and sees to its being logged and counted. Never rejects. */
  readonly infer: (request: ModelInferRequest, call: Call) => Promise<ModelInferResponse | ServingError>;
  readonly sessions: SessionPipeline;
  readonly admission: Admission;
}

/** What the requests of one stream have in common. */
export interface AskerStream {
  /** A call to the service of this name, in this version; its signal aborts when the stream ends. */
  readonly callTo: (model: string, version: string) => Call;
  /** Whether an error ends the stream with its own code, and is no answer. */
  readonly endsAtError: boolean;
}

/** What the sessions of streams are called in the access log. */
const protocol = "oip-grpc";

/** Builds what asks for one stream. */
export function createAsker({ infer, sessions, admission }: AskerOptions, stream: AskerStream): Asker {
  const callOf = ({ modelName, modelVersion }: ModelInferRequest): Call => stream.callTo(modelName, modelVersion);
  const addresseeOf = (request: ModelInferRequest): Addressee => {
    const { modelName, modelVersion, id } = request;
    const { endsAtError } = stream;
    const idOf = (): string => id;
    return {
      modelName,
      modelVersion,
      nextId: idOf,
      lastId: idOf,
      wantsEmptyFinal: wantsEmptyFinal(request),
      endsAtError,
    };
  };
  async function* askOnce(request: ModelInferRequest, call: Call): Answers {
    const addressee = addresseeOf(request);
    const result = await infer(request, call);
    yield result instanceof ServingError ? failureFrom(result, addressee) : answerFrom(result, true, addressee);
  }
  const run = (request: ModelInferRequest, call: Call, frames: AsyncIterable<SessionFrame<TensorRequest>>): Answers => {
    const shared = {
      call,
      caller: callerOf(admission, call),
      kind: "call",
      protocol,
      encode: encoderOf(request),
    } as const;
    return answersFrom(sessions.openIn(openInferenceStreams, { ...shared, frames }), addresseeOf(request));
  };
  return {
    ask(request) {
      const call = callOf(request);
      return answersOnceOnly(sessions, call) ? askOnce(request, call) : run(request, call, single(request));
    },
    refuse: (request, error) => run(request, callOf(request), failing(error)),
    async *runSequence({ first, input, parameters, signal }) {
      const call = callOf(first);
      using joined = createCallScope(call.signal, signal);
      const session = sessions.openIn<ModelInferResponse, TensorRequest>(openInferenceSequences, {
        call: { ...call, signal: joined.signal },
        caller: callerOf(admission, call),
        kind: "session",
        protocol,
        frames: input.frames,
        encode: encoderOf(first),
      });
      const { nextId, lastId } = input;
      yield* answersFrom(session, { ...addresseeOf(first), nextId, lastId, parameters });
    },
    assertHasSequences(request) {
      const compiled = sessions.describe(callOf(request));
      if (compiled === undefined || compiled.definition.stream) return;
      const message = `parameters.sequence_id: service '${compiled.id}' answers once-calls only, and has no sequences`;
      throw new ServingError("UNSUPPORTED_OPERATION", message);
    },
  };
}

/** A service that is not known is told so like one that answers once-calls; a category may lead to either kind. */
function answersOnceOnly(sessions: SessionPipeline, call: Call): boolean {
  try {
    return sessions.describe(call)?.definition.stream === false;
  } catch {
    return true;
  }
}

/** Which outputs are wanted is said by the request that opens the session. */
function encoderOf({ id, outputs }: ModelInferRequest) {
  const wishes = outputs.length === 0 ? undefined : outputs.map(({ name }) => ({ name, parameters: {}, binary: true }));
  return (service: CompiledService, response: Parameters<typeof resultFromResponse>[1]): ModelInferResponse =>
    encodeGrpcAnswer(resultFromResponse(service, response, { id, outputs: wishes, binaryOutputs: true }));
}

async function* single(request: ModelInferRequest): AsyncGenerator<SessionFrame<TensorRequest>> {
  yield { envelope: decodeGrpcRequest(request) };
}

// biome-ignore lint/correctness/useYield: it ends before its first frame.
async function* failing(error: ServingError): AsyncGenerator<never> {
  throw error;
}
