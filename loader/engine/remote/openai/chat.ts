import { z } from "zod";
import { createCallScope } from "../../../../proto/call-scope.ts";
import { ServingError } from "../../../../proto/errors.ts";
import { type InferRequest, Status } from "../../../../proto/gen/athena/v1/inference_pb.ts";
import { type Part, PartType } from "../../../../proto/gen/athena/v1/part_pb.ts";
import type { EngineResult } from "../../engine.ts";
import { createHttpClient, type HttpClient } from "../http-client.ts";
import { joinParts } from "../join-parts.ts";
import type { RemoteProtocol, RemoteProtocolOptions } from "../protocol.ts";
import { brokenError, silentError, unusableError } from "../server-error.ts";
import { wholeInput } from "../session-input.ts";
import { watchSilence } from "../silence.ts";
import { type ChatChunk, readChunk } from "./chunk.ts";
import { chatDefinition, chatParameters } from "./definition.ts";
import { eventsFrom } from "./events.ts";
import { chatBody } from "./request.ts";

/** What the OpenAI protocol is told. */
export interface OpenaiOptions {
  readonly systemPrompt: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Asked by the probes, from the root of the URL. Undefined: the list of models. */
  readonly healthPath?: string | undefined;
}

/** Speaks the chat completions of the OpenAI API, as vLLM, Ollama and others serve it. */
export function createOpenai(options: RemoteProtocolOptions & OpenaiOptions): RemoteProtocol {
  const { service, idleTimeoutMs, healthPath, declared } = options;
  const http = createHttpClient(options);
  const root = createHttpClient({ ...options, url: new URL(options.url).origin });
  const parameters = declared.parameters ?? chatParameters;

  const complete = async function* (request: InferRequest, outer: AbortSignal): AsyncGenerator<EngineResult> {
    const body = chatBody(request, { ...options, parameters });
    using scope = createCallScope(outer);
    const onSilence = (): void => scope.abort(silentError(service, idleTimeoutMs));
    const chunks = watchSilence(openStream(service, http, body, scope.signal), idleTimeoutMs, onSilence);
    let status = Status.BEGIN;
    let finishReason: string | undefined;
    let usage: object | undefined;
    let isDone = false;
    for await (const data of eventsFrom(service, chunks)) {
      isDone = data === "[DONE]";
      if (isDone) break;
      const chunk = readChunk(service, data);
      finishReason = chunk.finishReason ?? finishReason;
      usage = chunk.usage ?? usage;
      const parts = wanted(request, newParts(chunk));
      if (parts.length === 0) continue;
      yield { parts, status };
      status = Status.CONTINUE;
    }
    // Not every server says that it is done; one that says neither was cut off.
    if (!isDone && finishReason === undefined) throw brokenError(service, new Error("the stream ended without [DONE]"));
    yield { parts: wanted(request, lastParts(finishReason ?? "", usage)), status: Status.END };
  };

  return {
    async probe(signal) {
      if (healthPath === undefined) await askForModel(options, http, signal);
      else await (await root({ method: "GET", path: healthPath, signal })).bytes();
    },
    async describe() {
      return chatDefinition();
    },
    async infer(request, signal) {
      const parts: Part[] = [];
      let last: readonly Part[] = [];
      for await (const result of complete(request, signal)) {
        parts.push(...result.parts);
        last = result.parts;
      }
      // What is said about the whole answer comes with its last part.
      const whole = (joinParts(parts) ?? []).map((part) => {
        const { attributes } = last.find(({ name }) => name === part.name) ?? part;
        return { ...part, attributes };
      });
      return { parts: whole, status: Status.ONCE };
    },
    async *stream(request, inputs, signal) {
      const parts = await wholeInput(inputs, signal);
      yield* complete({ ...request, parts }, signal);
    },
    close() {},
  };
}

async function* openStream(
  service: string,
  http: HttpClient,
  body: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const headers = { "content-type": "application/json", accept: "text/event-stream" };
  const answer = await http({ method: "POST", path: "/chat/completions", headers, body, signal });
  const type = answer.headers.get("content-type") ?? "";
  const chunks = answer.chunks();
  if (type.startsWith("text/event-stream")) {
    yield* chunks;
  } else {
    await chunks.return(undefined);
    throw unusableError(service, "it is no stream of events");
  }
}

const encoder = new TextEncoder();

function textPart(name: string, text: string, attributes: Record<string, string> = {}): Part {
  return { $typeName: "athena.v1.Part", name, type: PartType.TEXT, attributes, data: encoder.encode(text) };
}

function newParts({ text, reasoning }: ChatChunk): Part[] {
  return [
    ...(reasoning === "" ? [] : [textPart("reasoning", reasoning)]),
    ...(text === "" ? [] : [textPart("result", text)]),
  ];
}

function lastParts(finishReason: string, usage: object | undefined): Part[] {
  return [
    textPart("result", "", { finish_reason: finishReason }),
    ...(usage === undefined ? [] : [textPart("usage", JSON.stringify(usage), { format: "json" })]),
  ];
}

/** A service.yaml may declare less than there is. */
function wanted({ expects }: InferRequest, parts: readonly Part[]): Part[] {
  return parts.filter((part) => expects.some(({ name }) => name === part.name));
}

const modelsSchema = z.object({ data: z.array(z.object({ id: z.string() })) });

/** Ollama lists `llama3:latest` for the model that requests may call `llama3`. */
async function askForModel(
  { service, model }: RemoteProtocolOptions,
  http: HttpClient,
  signal: AbortSignal,
): Promise<void> {
  const bytes = await (await http({ method: "GET", path: "/models", signal })).bytes();
  let models: z.output<typeof modelsSchema>;
  try {
    models = modelsSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (cause) {
    throw unusableError(service, "its list of models cannot be read", cause);
  }
  if (models.data.some(({ id }) => id === model || id === `${model}:latest`)) return;
  throw new ServingError("SERVICE_NOT_READY", `the model server of service '${service}' has no model '${model}'`);
}
