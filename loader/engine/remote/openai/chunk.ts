import { reasonFromStatus, wordsFromJson } from "../http-client.ts";
import { serverError, unusableError } from "../server-error.ts";

/** One event of a streamed chat completion, as far as a service shows it. */
export interface ChatChunk {
  /** Empty: nothing new. */
  readonly text: string;
  readonly reasoning: string;
  /** Why the answer ended, once it has. */
  readonly finishReason: string | undefined;
  /** The tokens that were counted, as the server states them. */
  readonly usage: object | undefined;
}

/**
 * Reads the data of one event.
 *
 * @throws ServingError of the error that it tells; OUTPUT_UNEXPECTED when it is no chunk of a completion.
 */
export function readChunk(service: string, data: string): ChatChunk {
  const chunk = parse(service, data);
  if (isObject(chunk.error) || typeof chunk.error === "string" || chunk.object === "error")
    throw toldError(service, chunk);
  const choices: unknown[] = Array.isArray(chunk.choices) ? chunk.choices : [];
  const choice = choices.find((one) => isObject(one) && (one.index ?? 0) === 0);
  const { delta, finish_reason: finishReason } = isObject(choice) ? choice : {};
  const { content, reasoning_content, reasoning } = isObject(delta) ? delta : {};
  return {
    text: textOf(content),
    reasoning: textOf(reasoning_content ?? reasoning),
    finishReason: typeof finishReason === "string" ? finishReason : undefined,
    usage: isObject(chunk.usage) ? chunk.usage : undefined,
  };
}

type JsonObject = Partial<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function parse(service: string, data: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw unusableError(service, "an event is not JSON", cause);
  }
  if (isObject(value)) return value;
  throw unusableError(service, "an event is not an object");
}

/** An error in the stream may tell the status that it would have had as an answer. */
function toldError(service: string, chunk: JsonObject) {
  const { code } = isObject(chunk.error) ? chunk.error : chunk;
  const status = Number(code);
  const reason = status >= 400 && status < 600 ? reasonFromStatus(status) : "ENGINE_FAILED";
  return serverError(service, reason, wordsFromJson(chunk) ?? "");
}
