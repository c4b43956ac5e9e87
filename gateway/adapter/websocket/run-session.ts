import { ServingError } from "../../../proto/errors.ts";
import type { Caller } from "../../admission/admission.ts";
import type { SessionPipeline } from "../../session-pipeline.ts";
import type { Call, SessionFrame } from "../../types.ts";
import type { FrameCodec, FrameData, FrameTag } from "./frame-codec.ts";
import { createInbox, type InboxLimits } from "./inbox.ts";

/** A session between a client's frames and the streaming line. */
export interface RunningSession {
  readonly sid: string;
  /** Takes the next frame of the client's; the session ends with an error when it cannot. */
  push(frame: SessionFrame, bytes: number): void;
  /** Ends the session with this. */
  abort(error: ServingError): void;
}

/** What {@link runSession} is told. */
export interface RunSessionOptions {
  readonly sessions: SessionPipeline;
  /** The request that opened the connection. */
  readonly call: Omit<Call, "signal">;
  readonly caller: Caller;
  readonly codec: FrameCodec;
  readonly limits: InboxLimits;
  /** What the next frame to the client says of itself; asked once for each. */
  readonly tag: () => Omit<FrameTag, "sid">;
  readonly resumeToken?: string;
  /** Takes a frame to the client; the next one is made when it resolves. Never rejects. */
  readonly deliver: (data: FrameData) => Promise<void> | undefined;
  /** Told of the session's end, once, after its last frame was delivered. */
  readonly onEnd: (error: ServingError | undefined) => void;
}

/** Runs one session from now on. Its first frame is pushed like any other. */
export function runSession(options: RunSessionOptions): RunningSession {
  const { sessions, call, codec, limits, deliver, onEnd } = options;
  const hangUp = new AbortController();
  const inbox = createInbox(limits);
  const tag = (): FrameTag => ({ sid: session.sid, ...options.tag() });
  let hasBegun = false;
  let hasEnded = false;
  const session = sessions.open<FrameData>({
    call: { ...call, signal: hangUp.signal },
    caller: options.caller,
    kind: "session",
    protocol: codec.protocol,
    frames: inbox,
    hasPlaces: true,
    encode: (service, response, status) => codec.result(service, response, status, tag()),
  });
  const abort = (error: ServingError): void => hangUp.abort(error);

  const pump = async (): Promise<void> => {
    let failure: ServingError | undefined;
    try {
      for await (const event of session.events) {
        const data = event.type === "opened" ? codec.opened(tag(), options.resumeToken) : event.answer;
        const delivery = deliver(data);
        if (delivery !== undefined) await delivery;
      }
    } catch (thrown) {
      failure = ServingError.from(thrown);
      await deliver(codec.error(failure, tag()));
    }
    onEnd(failure);
  };
  void pump();

  return {
    sid: session.sid,
    abort,
    push(frame, bytes) {
      if (hasEnded) {
        abort(new ServingError("SCHEMA_VIOLATION", "the session's input has ended: a frame before had the status 2"));
        return;
      }
      // The first frame may leave open where it stands; each that follows one without a word goes on.
      const place = frame.place ?? (hasBegun ? 1 : undefined);
      hasBegun = true;
      if (!inbox.push({ ...frame, place }, bytes)) {
        const message = `the session's input comes faster than the service takes it: more than ${limits.maxBytes} bytes wait`;
        abort(new ServingError("PAYLOAD_TOO_LARGE", message));
        return;
      }
      hasEnded = place === 2 || place === 3;
      if (hasEnded) inbox.end();
    },
  };
}
