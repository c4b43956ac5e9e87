import type { ServingError } from "../../proto/errors.ts";
import type { Admission } from "../admission/admission.ts";
import { encodeErrorFrame, encodeFrame } from "../envelope/encode.ts";
import type { Session, SessionPipeline } from "../session-pipeline.ts";
import type { Call, Envelope, SessionFrame } from "../types.ts";
import { callerOf } from "./caller-of.ts";
import { errorResponse } from "./error-response.ts";
import {
  answerSession,
  bodyTimeoutMs,
  onOneLine,
  type StreamBounds,
  type StreamClient,
  type StreamForm,
} from "./session-answer.ts";

/** How results are told apart in one HTTP answer: server-sent events, or a line of JSON for each. */
export type StreamKind = "sse" | "jsonl";

/** The kind of stream that a request's `Accept` asks for; undefined where it asks for one answer. */
export function streamKindFrom(accept: string | null): StreamKind | undefined {
  // On every request: most name none of these.
  if (accept === null || accept === "*/*") return undefined;
  if (accept.includes("text/event-stream")) return "sse";
  return /application\/(x-ndjson|jsonl|x-jsonlines)/.test(accept) ? "jsonl" : undefined;
}

/** What {@link answerStream} works with. */
export interface StreamAnswerOptions extends StreamBounds {
  readonly sessions: SessionPipeline;
  readonly admission: Admission;
  /** Reads the text of one envelope. */
  readonly decode: (text: string) => Envelope;
}

/**
 * Answers one request with its results as they come. The request is the whole input of a session, or a once-call where its
 * service answers nothing else. An error before the first result is an answer of its own status; after it, it is the
 * stream's last word. A hang-up cancels the engine.
 */
export async function answerStream(
  kind: StreamKind,
  call: Call,
  client: StreamClient<string>,
  options: StreamAnswerOptions,
): Promise<Response> {
  const { sessions, admission, decode, isDraining } = options;
  const reader = new AbortController();
  let body = "";
  async function* frames(): AsyncGenerator<SessionFrame> {
    body = await client.readBody(bodyTimeoutMs);
    yield { envelope: decode(body) };
  }
  const session: Session<string> = sessions.open({
    call: { ...call, signal: AbortSignal.any([call.signal, reader.signal]) },
    caller: callerOf(admission, call),
    kind: "call",
    received: () => body,
    protocol: kind,
    frames: frames(),
    encode: (service, response, status) =>
      encodeFrame({ sid: session.sid, status }, response.parts, service.outputTypes),
  });
  const refusal: StreamForm["refusal"] = (error, { sid, codeMap }) => errorResponse(error, sid, isDraining(), codeMap);
  return answerSession(session, { ...client, reader }, { ...forms[kind], refusal }, options);
}

const forms: Readonly<Record<StreamKind, Omit<StreamForm, "refusal">>> = {
  sse: {
    contentType: "text/event-stream",
    keepAlive: ": keep-alive\n\n",
    result: (json) => `data: ${onOneLine(json)}\n\n`,
    error: (error, sid) => `event: error\ndata: ${onOneLine(errorFrame(error, sid))}\n\n`,
  },
  jsonl: {
    contentType: "application/x-ndjson",
    keepAlive: "\n",
    result: (json) => `${onOneLine(json)}\n`,
    error: (error, sid) => `${onOneLine(errorFrame(error, sid))}\n`,
  },
};

function errorFrame({ class: row, message }: ServingError, sid: string): string {
  return encodeErrorFrame(row.legacyCode, message, { sid, status: 0 });
}
