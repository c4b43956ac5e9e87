import type { Admission } from "../../admission/admission.ts";
import { openInferenceGenerateStreams } from "../../dialects.ts";
import type { Session, SessionEvent, SessionPipeline } from "../../session-pipeline.ts";
import type { Call, SessionFrame } from "../../types.ts";
import { callerOf } from "../caller-of.ts";
import {
  answerSession,
  bodyTimeoutMs,
  onOneLine,
  type StreamBounds,
  type StreamClient,
  type StreamForm,
} from "../session-answer.ts";
import type { RestBody } from "./decode-request.ts";
import { encodeGenerated } from "./generate-answer.ts";
import { decodeGenerateRequest, type GenerateRequest } from "./generate-request.ts";

/** What {@link answerGenerateStream} works with. */
export interface GenerateStreamOptions extends StreamBounds {
  readonly sessions: SessionPipeline;
  readonly admission: Admission;
}

/**
 * Answers a request to `generate_stream` with its results as they come, one event each; a service that answers once-calls only
 * gives one. `refusal` is the answer where there is none.
 */
export function answerGenerateStream(
  call: Call,
  client: StreamClient<RestBody>,
  refusal: StreamForm["refusal"],
  { sessions, admission, ...bounds }: GenerateStreamOptions,
): Promise<Response> {
  const reader = new AbortController();
  let received: Uint8Array = new Uint8Array();
  let id = "";
  async function* frames(): AsyncGenerator<SessionFrame<GenerateRequest>> {
    const body = await client.readBody(bodyTimeoutMs);
    received = body.received;
    const envelope = decodeGenerateRequest(body);
    id = envelope.id;
    yield { envelope };
  }
  const session = sessions.openIn<string, GenerateRequest>(openInferenceGenerateStreams, {
    call: { ...call, signal: AbortSignal.any([call.signal, reader.signal]) },
    caller: callerOf(admission, call),
    kind: "call",
    received: () => received,
    protocol: "oip",
    frames: frames(),
    // The end of a stream that has nothing to say is no event.
    encode: (service, response) => (response.parts.length === 0 ? "" : encodeGenerated(service, response, id)),
  });
  const results = { ...session, events: withoutEmpty(session.events) };
  return answerSession(results, { ...client, reader }, { ...form, refusal }, bounds);
}

const form: Omit<StreamForm, "refusal"> = {
  contentType: "text/event-stream",
  keepAlive: ": keep-alive\n\n",
  result: (json) => `data: ${onOneLine(json)}\n\n`,
  error: ({ message }) => `data: ${JSON.stringify({ error: message })}\n\n`,
};

async function* withoutEmpty(events: Session<string>["events"]): AsyncGenerator<SessionEvent<string>, void, undefined> {
  for await (const event of events) if (event.type === "opened" || event.answer !== "") yield event;
}
