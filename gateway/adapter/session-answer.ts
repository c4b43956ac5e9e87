import { ServingError } from "../../proto/errors.ts";
import type { Session, SessionEvent } from "../session-pipeline.ts";
import { within } from "../within.ts";

/** How long a request's body may take to arrive, in milliseconds. */
export const bodyTimeoutMs = 60_000;

/** What streams in one HTTP answer are bounded by. */
export interface StreamBounds {
  /** How often a stream in which nothing happens says that it lives, and the longest that its head waits for a result. */
  readonly keepAliveMs: number;
  /** How long a client may read nothing while something waits for it. */
  readonly slowReaderTimeoutMs: number;
  readonly isDraining: () => boolean;
}

/** The one who asks, as the listener has it. */
export interface StreamClient<Body> {
  /** Reads the request's body. */
  readonly readBody: (timeoutMs: number) => Promise<Body>;
  /** Ends the connection of a client that reads nothing of its answer. */
  cut(): void;
  /** The answer is known: its connection may be silent no longer than others. */
  letGo(): void;
}

/** The same once its body is read. */
export interface StreamReader extends Omit<StreamClient<unknown>, "readBody"> {
  /** Aborted when it hangs up, or reads nothing: it ends the session's call. */
  readonly reader: AbortController;
}

/** How the results of a session are written into one HTTP answer. */
export interface StreamForm {
  readonly contentType: string;
  /** What says that the stream lives. */
  readonly keepAlive: string;
  readonly result: (json: string) => string;
  /** The stream's last word. */
  readonly error: (error: ServingError, sid: string) => string;
  /** The answer in place of a stream that has no result. */
  readonly refusal: (error: ServingError, session: Session<string>) => Response;
}

/**
 * Answers a request with the results of its session as they come. An error before the first result is an answer of its own;
 * after it, it is the stream's last word.
 */
export async function answerSession(
  session: Session<string>,
  { reader, cut, letGo }: StreamReader,
  form: StreamForm,
  bounds: StreamBounds,
): Promise<Response> {
  const first = firstResult(session);
  try {
    // A head that is sent cannot say any more that the engine has failed, so it waits, though not for ever.
    await within(first, bounds.keepAliveMs);
  } catch (thrown) {
    letGo();
    return form.refusal(ServingError.from(thrown), session);
  }
  const headers: Record<string, string> = {
    "content-type": form.contentType,
    "cache-control": "no-store",
    // nginx would hold results back.
    "x-accel-buffering": "no",
    "athena-sid": session.sid,
  };
  if (bounds.isDraining()) headers.connection = "close";
  const leave = (message: string): void => {
    reader.abort(new ServingError("CANCELED", message));
    // Nobody may ever ask for the next result: the session ends here and now.
    session.events.return().catch(() => {});
  };
  return new Response(streamFrom(form, session, first, { ...bounds, leave, cut, letGo }), { headers });
}

/** Data that is JSON stands in an answer as its engine wrote it, perhaps on several lines: between tokens, where a space will do. */
export function onOneLine(json: string): string {
  return json.includes("\n") || json.includes("\r") ? json.replaceAll(/[\r\n]+/g, " ") : json;
}

type Step = IteratorResult<SessionEvent<string>, void>;

async function firstResult(session: Session<string>): Promise<Step> {
  let step = await session.events.next();
  while (step.done !== true && step.value.type === "opened") step = await session.events.next();
  return step;
}

interface StreamEnds
  extends Pick<StreamBounds, "keepAliveMs" | "slowReaderTimeoutMs">,
    Pick<StreamReader, "cut" | "letGo"> {
  /** Ends the session. */
  leave(message: string): void;
}

function streamFrom(
  form: StreamForm,
  session: Session<string>,
  first: Promise<Step>,
  { keepAliveMs, slowReaderTimeoutMs, leave, cut, letGo }: StreamEnds,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next = first;
  let watch: ReturnType<typeof setTimeout> | undefined;
  const leaveSlow = (): void => {
    leave("the client does not read its results");
    cut();
  };
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    clearTimeout(watch);
    const text = await nextText();
    if (text === undefined) {
      letGo();
      controller.close();
      return;
    }
    // The next one is asked for when this one has gone.
    watch = setTimeout(leaveSlow, slowReaderTimeoutMs);
    controller.enqueue(encoder.encode(text));
  };
  const nextText = async (): Promise<string | undefined> => {
    try {
      const step = await within(next, keepAliveMs);
      if (step === undefined) return form.keepAlive;
      if (step.done === true || step.value.type === "opened") return undefined;
      next = session.events.next();
      // It is looked at when it is pulled; until then nobody has seen it fail.
      next.catch(() => {});
      return form.result(step.value.answer);
    } catch (thrown) {
      next = Promise.resolve({ done: true, value: undefined });
      return form.error(ServingError.from(thrown), session.sid);
    }
  };
  const cancel = (): void => {
    clearTimeout(watch);
    leave("the client hung up");
  };
  return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
}
