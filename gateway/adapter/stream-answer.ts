import { ServingError } from "../../proto/errors.ts";
import type { Admission } from "../admission/admission.ts";
import { encodeErrorFrame, encodeFrame } from "../envelope/encode.ts";
import type { Session, SessionEvent, SessionPipeline } from "../session-pipeline.ts";
import type { Call, Envelope, SessionFrame } from "../types.ts";
import { callerOf } from "./caller-of.ts";
import { errorResponse } from "./error-response.ts";

/** How results are told apart in one HTTP answer: server-sent events, or a line of JSON for each. */
export type StreamKind = "sse" | "jsonl";

/** The kind of stream that a request's `Accept` asks for; undefined where it asks for one answer. */
export function streamKindFrom(accept: string | null): StreamKind | undefined {
  // On every request: most name none of these.
  if (accept === null || accept === "*/*") return undefined;
  if (accept.includes("text/event-stream")) return "sse";
  return /application\/(x-ndjson|jsonl|x-jsonlines)/.test(accept) ? "jsonl" : undefined;
}

/** How long a request's body may take to arrive. */
const bodyTimeoutMs = 60_000;

/** What {@link answerStream} works with. */
export interface StreamAnswerOptions {
  readonly sessions: SessionPipeline;
  readonly admission: Admission;
  /** Reads the text of one envelope. */
  readonly decode: (text: string) => Envelope;
  /** How often a stream in which nothing happens says that it lives, and the longest that its head waits for a result. */
  readonly keepAliveMs: number;
  /** How long a client may read nothing while something waits for it. */
  readonly slowReaderTimeoutMs: number;
  readonly isDraining: () => boolean;
}

/**
 * Answers one request with its results as they come. The request is the whole input of a session, or a once-call where its
 * service answers nothing else. An error before the first result is an answer of its own status; after it, it is the
 * stream's last word. `readBody` reads the request; a hang-up cancels the engine.
 */
export async function answerStream(
  kind: StreamKind,
  call: Call,
  readBody: (timeoutMs: number) => Promise<string>,
  options: StreamAnswerOptions,
): Promise<Response> {
  const { sessions, admission, decode, keepAliveMs, isDraining } = options;
  const reader = new AbortController();
  let body = "";
  async function* frames(): AsyncGenerator<SessionFrame> {
    body = await readBody(bodyTimeoutMs);
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
  const first = firstResult(session);
  try {
    // A head that is sent cannot say any more that the engine has failed, so it waits, though not for ever.
    await within(first, keepAliveMs);
  } catch (thrown) {
    return errorResponse(ServingError.from(thrown), session.sid, isDraining(), session.codeMap);
  }
  const headers: Record<string, string> = {
    "content-type": kind === "sse" ? "text/event-stream" : "application/x-ndjson",
    "cache-control": "no-store",
    // nginx would hold results back.
    "x-accel-buffering": "no",
    "athena-sid": session.sid,
  };
  if (isDraining()) headers.connection = "close";
  return new Response(streamFrom(kind, session, first, reader, options), { headers });
}

type Step = IteratorResult<SessionEvent<string>, void>;

async function firstResult(session: Session<string>): Promise<Step> {
  let step = await session.events.next();
  while (step.done !== true && step.value.type === "opened") step = await session.events.next();
  return step;
}

/** Resolves with the value, or with undefined when it does not come in time. */
async function within<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function streamFrom(
  kind: StreamKind,
  session: Session<string>,
  first: Promise<Step>,
  reader: AbortController,
  { keepAliveMs, slowReaderTimeoutMs }: StreamAnswerOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const leave = (message: string): void => reader.abort(new ServingError("CANCELED", message));
  let next = first;
  let watch: ReturnType<typeof setTimeout> | undefined;
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    clearTimeout(watch);
    const text = await nextText();
    if (text === undefined) {
      controller.close();
      return;
    }
    // The next one is asked for when this one has gone.
    watch = setTimeout(leave, slowReaderTimeoutMs, "the client does not read its results");
    controller.enqueue(encoder.encode(text));
  };
  const nextText = async (): Promise<string | undefined> => {
    try {
      const step = await within(next, keepAliveMs);
      if (step === undefined) return kind === "sse" ? ": keep-alive\n\n" : "\n";
      if (step.done === true || step.value.type === "opened") return undefined;
      next = session.events.next();
      // It is looked at when it is pulled; until then nobody has seen it fail.
      next.catch(() => {});
      return textOf(kind, "message", step.value.answer);
    } catch (thrown) {
      next = Promise.resolve({ done: true, value: undefined });
      const { class: row, message } = ServingError.from(thrown);
      return textOf(kind, "error", encodeErrorFrame(row.legacyCode, message, { sid: session.sid, status: 0 }));
    }
  };
  const cancel = (): void => {
    clearTimeout(watch);
    leave("the client hung up");
  };
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}

/** Data that is JSON stands in an answer as its engine wrote it, perhaps on several lines: between tokens, where a space will do. */
function textOf(kind: StreamKind, event: "message" | "error", json: string): string {
  const line = json.includes("\n") || json.includes("\r") ? json.replaceAll(/[\r\n]+/g, " ") : json;
  if (kind === "jsonl") return `${line}\n`;
  return event === "error" ? `event: error\ndata: ${line}\n\n` : `data: ${line}\n\n`;
}
