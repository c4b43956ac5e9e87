import { type Reason, ServingError } from "../proto/errors.ts";

/** Hears of sessions, for metrics and the access log. */
export interface SessionObserver {
  /** One frame came in from the caller, or went out to it. */
  onFrame(service: string, direction: "in" | "out"): void;
  /** A session has ended; once for each. */
  onEnd(report: SessionReport): void;
}

/** How a session ended. */
export interface SessionReport {
  readonly sid: string;
  /** "" for a session that reached no service. */
  readonly service: string;
  /** What its caller spoke. */
  readonly protocol: string;
  readonly client: string;
  /** Who it was; "" while admission is off, and where nobody knows. */
  readonly app: string;
  readonly outcome: "OK" | Reason;
  readonly error: ServingError | undefined;
  readonly durationMs: number;
  /** From its begin to its first result; undefined where there was none. */
  readonly firstResultMs: number | undefined;
  readonly framesIn: number;
  readonly framesOut: number;
}

/** Counts what passes in one session, and reports its end. */
export interface SessionMeter {
  /** Says who the caller is. */
  app(app: string): void;
  noteIn(): void;
  noteOut(): void;
  /** What {@link end} will report; until it is said, that the reader left in the middle. */
  result(error: ServingError | undefined): void;
  /** Reports the session; called once. */
  end(): void;
}

/** Begins to measure a session. `now` is in milliseconds on a clock that never goes back. */
export function startMeter(
  session: Pick<SessionReport, "sid" | "service" | "protocol" | "client">,
  observer: SessionObserver,
  now: () => number,
): SessionMeter {
  const started = now();
  let error: ServingError | undefined = new ServingError("CANCELED", "the caller left");
  let firstResultMs: number | undefined;
  let app = "";
  let framesIn = 0;
  let framesOut = 0;
  return {
    app(id) {
      app = id;
    },
    noteIn() {
      framesIn += 1;
      observer.onFrame(session.service, "in");
    },
    noteOut() {
      firstResultMs ??= now() - started;
      framesOut += 1;
      observer.onFrame(session.service, "out");
    },
    result(end) {
      error = end;
    },
    end() {
      const outcome = error?.reason ?? "OK";
      const durationMs = now() - started;
      observer.onEnd({ ...session, app, outcome, error, durationMs, firstResultMs, framesIn, framesOut });
    },
  };
}
