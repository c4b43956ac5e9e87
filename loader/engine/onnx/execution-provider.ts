import type { InferenceSession } from "onnxruntime-node";
import { ServingError } from "../../../proto/errors.ts";

/** Where sessions compute. */
export interface ExecutionProvider {
  /** One of {@link executionProviders}. */
  readonly name: string;
  /** Which of the machine's devices; for cuda and tensorrt. */
  readonly deviceId?: number | undefined;
}

/** The names that definitions may use, as ONNX Runtime spells them. */
export const executionProviders = ["cpu", "cuda", "tensorrt"] as const;

/**
 * The options of every session of a worker. There is no silent fallback: a service that asks for a device that is not
 * there does not start, instead of being ten times slower than anybody expects.
 *
 * @throws ServingError SERVICE_NOT_READY for a name that ONNX Runtime does not have; it would drop it without a word.
 */
export function sessionOptionsFrom(provider: ExecutionProvider, threads: number): InferenceSession.SessionOptions {
  const name = executionProviders.find((known) => known === provider.name);
  if (name === undefined) {
    const meant = executionProviders.find((known) => known === provider.name.toLowerCase());
    const hint = meant === undefined ? "" : `; write '${meant}' in lower case`;
    const known = executionProviders.join(", ");
    throw new ServingError("SERVICE_NOT_READY", `engine.provider: '${provider.name}' is not one of ${known}${hint}`);
  }
  const executionProvider = name === "cpu" ? name : { name, deviceId: provider.deviceId ?? 0 };
  return { executionProviders: [executionProvider], intraOpNumThreads: threads, interOpNumThreads: 1 };
}

/** The error that a person understands, where ONNX Runtime says that it lacks a provider's library. */
export function errorFromSessionFailure(thrown: unknown, provider: ExecutionProvider): ServingError {
  if (thrown instanceof ServingError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (provider.name !== "cpu" && /shared library|backend|provider|CUDA|cudnn/i.test(message)) {
    return new ServingError(
      "SERVICE_NOT_READY",
      `engine.provider: '${provider.name}' cannot be used: its libraries or its device are missing here`,
      { cause: thrown },
    );
  }
  return new ServingError("SERVICE_NOT_READY", "the models cannot be loaded", { cause: thrown });
}
