import { ServingError } from "../../../../proto/errors.ts";
import type { InferRequest } from "../../../../proto/gen/athena/v1/inference_pb.ts";
import { typedParameters } from "../parameters.ts";
import type { ParameterSchemas } from "../protocol.ts";

/** What each request to the server is made from, beside the caller's request. */
export interface ChatRequestOptions {
  readonly model: string;
  readonly systemPrompt: string;
  /** Members of each request; the caller's parameters go first. */
  readonly options: Readonly<Record<string, unknown>>;
  /** JSON Schema of each parameter that callers may set. */
  readonly parameters: ParameterSchemas;
}

interface Message {
  readonly role: string;
  readonly content?: unknown;
}

/**
 * The body of a request for a streamed chat completion.
 *
 * @throws ServingError INVALID_INPUT, naming the field.
 */
export function chatBody(request: InferRequest, options: ChatRequestOptions): string {
  const unknown = Object.keys(request.parameters).find((name) => !Object.hasOwn(options.parameters, name));
  if (unknown !== undefined) throw invalid(`parameter.${unknown.slice(0, 64)}: is not declared`);
  return JSON.stringify({
    ...options.options,
    ...typedParameters(request.parameters, options.parameters),
    model: options.model,
    messages: messagesFrom(request, options.systemPrompt),
    stream: true,
    stream_options: { include_usage: true },
  });
}

function messagesFrom({ parts }: InferRequest, systemPrompt: string): readonly Message[] {
  const textOf = (name: string): string | undefined => {
    const data = parts.find((part) => part.name === name)?.data;
    return data === undefined ? undefined : decode(name, data);
  };
  const history = textOf("messages");
  const prompt = textOf("prompt");
  const messages = history === undefined ? [] : parseMessages(history);
  if (prompt !== undefined) messages.push({ role: "user", content: prompt });
  if (messages.length === 0) throw invalid("payload: one of 'messages' and 'prompt' is needed");
  const hasSystem = messages.some(({ role }) => role === "system" || role === "developer");
  return systemPrompt === "" || hasSystem ? messages : [{ role: "system", content: systemPrompt }, ...messages];
}

function parseMessages(text: string): Message[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid("payload.messages: is not JSON", cause);
  }
  if (!Array.isArray(parsed)) throw invalid("payload.messages: must be an array of messages");
  for (const [index, message] of parsed.entries()) {
    const path = `payload.messages[${index}]`;
    if (typeof message?.role !== "string") throw invalid(`${path}.role: must be a text`);
    assertNoRemoteMedia(message, path, 0);
  }
  return parsed;
}

/** Messages are a few levels deep. */
const maxDepth = 32;

/** Nothing that a caller sends makes the server, which stands beside us, dial an address: media come as `data:` URLs. */
function assertNoRemoteMedia(value: unknown, path: string, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth > maxDepth) throw invalid(`${path}: is nested too deeply`);
  for (const [key, member] of Object.entries(value)) {
    const below = Array.isArray(value) ? `${path}[${key}]` : `${path}.${key.slice(0, 64)}`;
    const isUrl = typeof member === "string" && /(^|_)ur[il]$/i.test(key);
    if (isUrl && !member.startsWith("data:")) throw invalid(`${below}: must be a data: URL`);
    assertNoRemoteMedia(member, below, depth + 1);
  }
}

function decode(name: string, data: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch (cause) {
    throw invalid(`payload.${name}: is not UTF-8 text`, cause);
  }
}

function invalid(message: string, cause?: unknown): ServingError {
  return new ServingError("INVALID_INPUT", message, cause === undefined ? {} : { cause });
}
