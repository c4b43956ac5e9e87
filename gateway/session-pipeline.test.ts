import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { ServingError } from "../proto/errors.ts";
import {
  type InferRequest,
  type InferResponse,
  InferResponseSchema,
  type InferStreamResponse,
  InferStreamResponseSchema,
  Status,
  type StreamInput,
} from "../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../proto/gen/athena/v1/service_pb.ts";
import { createOpenCaller } from "./admission/admission.ts";
import { unifiedSessions } from "./dialects.ts";
import { decodeEnvelope } from "./envelope/decode.ts";
import type { ServiceTarget } from "./pipeline.ts";
import { createRouter } from "./router/router.ts";
import { compileService } from "./schema/compile.ts";
import type { SessionReport } from "./session-meter.ts";
import { createSessionPipeline, type SessionEvent, type SessionStages } from "./session-pipeline.ts";
import type { Call, Place, SessionFrame } from "./types.ts";

const decoder = new TextDecoder();

/** What a loader does with a session: it gets the opening and the chunks, and its results are read one by one. */
type Loader = (
  open: InferRequest,
  inputs: AsyncIterable<StreamInput>,
  options: Parameters<ServiceTarget["dispatchSession"]>[2],
) => AsyncGenerator<InferStreamResponse>;

const announcement = create(InferStreamResponseSchema);

function result(status: Status, text = ""): InferStreamResponse {
  const parts = [{ name: "data", type: PartType.TEXT, data: new TextEncoder().encode(text) }];
  return create(InferStreamResponseSchema, { response: { status, parts } });
}

/** Gives each chunk back with what its part says of its place. */
const echo: Loader = async function* (open, inputs) {
  yield announcement;
  if (open.parts.length > 0) yield result(Status.BEGIN, textsOf(open.parts));
  for await (const { parts } of inputs) yield result(Status.CONTINUE, textsOf(parts));
  yield result(Status.END);
};

function textsOf(parts: InferRequest["parts"]): string {
  return parts.map(({ data, attributes }) => `${decoder.decode(data)}:${attributes.status}`).join();
}

interface Setup {
  readonly loader?: Loader;
  readonly once?: boolean;
  readonly stream?: boolean;
  readonly idleTimeoutMs?: number;
  readonly totalTimeoutMs?: number;
  readonly stages?: Partial<SessionStages>;
}

function setUp({ loader = echo, once = false, stream = true, ...setup }: Setup = {}) {
  const inputs = [
    { name: "data", type: PartType.TEXT, required: true, maxBytes: 8n },
    { name: "more", type: PartType.TEXT },
  ];
  const outputs = [{ name: "data", type: PartType.TEXT }];
  const compiled = compileService(create(ServiceDefinitionSchema, { id: "echo", inputs, outputs, once, stream }));
  const target: ServiceTarget = {
    id: "echo",
    version: "",
    timeoutMs: 1000,
    session: { idleTimeoutMs: setup.idleTimeoutMs ?? 10_000, totalTimeoutMs: setup.totalTimeoutMs ?? 10_000 },
    hashKey: undefined,
    codeMap: undefined,
    compiled: () => compiled,
    dispatch: async ({ sid, parts }) => create(InferResponseSchema, { sid, parts, status: Status.ONCE }),
    dispatchSession: loader,
  };
  const reports: SessionReport[] = [];
  const frames = { in: 0, out: 0 };
  const pipeline = createSessionPipeline({
    route: createRouter([{ ids: ["echo"], paths: [], target }]),
    newSid: (prefix) => `${prefix}1`,
    unified: unifiedSessions,
    balancingKey: () => undefined,
    now: () => performance.now(),
    maxSessions: 2,
    isDraining: () => false,
    observer: {
      onFrame: (_, direction) => {
        frames[direction] += 1;
      },
      onEnd: (report) => reports.push(report),
    },
    ...setup.stages,
  });
  return { pipeline, reports, frames };
}

const anybody = { caller: createOpenCaller(100), kind: "session", protocol: "test" } as const;

function callOf(signal = new AbortController().signal, path = "/v1/private/echo"): Call {
  const target = (): string => path;
  return { method: "GET", target, path, host: "", serviceId: null, clientAddress: "::1", header: () => null, signal };
}

function frame(text: string | undefined, place?: Place, header: object = { app_id: "1" }): SessionFrame {
  const data = text === undefined ? {} : { data: { text: Buffer.from(text).toString("base64") } };
  return { envelope: decodeEnvelope(JSON.stringify({ header, payload: data })), place };
}

async function* framesOf(...frames: readonly SessionFrame[]): AsyncGenerator<SessionFrame> {
  yield* frames;
}

/** Frames after which the caller says nothing. */
async function* andSilence(...frames: readonly SessionFrame[]): AsyncGenerator<SessionFrame> {
  yield* frames;
  await new Promise(() => {});
}

const encode = (_: unknown, { parts }: InferResponse): string => decoder.decode(parts[0]?.data);

function open(
  { pipeline }: ReturnType<typeof setUp>,
  frames: AsyncIterable<SessionFrame>,
  call = callOf(),
): AsyncGenerator<SessionEvent<string>> {
  return pipeline.open({ call, ...anybody, frames, encode }).events;
}

async function collect(events: AsyncIterable<SessionEvent<string>>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of events) seen.push(event.type === "opened" ? "opened" : `${event.status} ${event.answer}`);
  return seen;
}

async function errorOf(events: AsyncIterable<SessionEvent<string>>): Promise<ServingError> {
  return collect(events).then(
    () => new ServingError("INTERNAL", "the session ended well"),
    (error: unknown) => ServingError.from(error),
  );
}

describe("a session", () => {
  test("gives its results after it was opened, and is reported once", async () => {
    const line = setUp();
    const session = line.pipeline.open({
      call: callOf(),
      ...anybody,
      frames: framesOf(frame("a", 0), frame("b", 1), frame("c", 2)),
      encode,
    });
    expect([session.sid, session.service]).toEqual(["ase1", "echo"]);
    expect(await collect(session.events)).toEqual(["opened", "0 a:0", "1 b:1", "1 c:2", "2 "]);
    expect(line.frames).toEqual({ in: 3, out: 4 });
    expect(line.reports).toMatchObject([
      { sid: "ase1", service: "echo", protocol: "test", client: "::1", outcome: "OK", framesIn: 3, framesOut: 4 },
    ]);
    expect(line.reports[0]?.firstResultMs).toBeNumber();
    expect(line.pipeline.active().size).toBe(0);
  });

  test("may open without data, and later frames need no header", async () => {
    const frames = framesOf(frame(undefined, 0), frame("a", 1, {}), frame("b", 2, {}));
    expect(await collect(open(setUp(), frames))).toEqual(["opened", "1 a:1", "1 b:2", "2 "]);
  });

  test("ends its input with a place of 2, and reads nothing after it", async () => {
    const frames = andSilence(frame("a", 0), frame("b", 2));
    expect(await collect(open(setUp(), frames))).toEqual(["opened", "0 a:0", "1 b:2", "2 "]);
  });

  test("begins with a first frame that says nothing of its place, where frames say such things", async () => {
    const session = setUp().pipeline.open({
      call: callOf(),
      ...anybody,
      frames: framesOf(frame("a"), frame("b", 2)),
      hasPlaces: true,
      encode,
    });
    expect(await collect(session.events)).toEqual(["opened", "0 a:0", "1 b:2", "2 "]);
    expect(await collect(open(setUp(), framesOf(frame("a"), frame("b"))))).toEqual([
      "opened",
      "0 a:undefined",
      "1 b:undefined",
      "2 ",
    ]);
  });

  test("ends its input when every input that was seen says that it ends", async () => {
    const envelope = (payload: object) => decodeEnvelope(JSON.stringify({ header: { app_id: "1" }, payload }));
    const frames = andSilence(
      { envelope: envelope({ data: { status: 0, text: "YQ==" }, more: { status: 2, text: "Yg==" } }), place: 0 },
      { envelope: envelope({ data: { status: 2, text: "Yw==" } }), place: 1 },
    );
    expect(await collect(open(setUp(), frames))).toEqual(["opened", "0 a:0,b:2", "1 c:2", "2 "]);
  });

  test("takes a frame without data as a sign of life, and keeps the place of one that is numbered", async () => {
    const sequences: number[] = [];
    const loader: Loader = async function* (_, inputs) {
      for await (const { sequence, parts } of inputs) if (sequences.push(sequence) > 9) yield result(1, textsOf(parts));
    };
    const numbered = (text: string | undefined, sequence: number) => ({ ...frame(text, undefined, {}), sequence });
    await collect(open(setUp({ loader }), framesOf(frame("a", 0), frame(undefined, 1, {}), frame("b", 2, {}))));
    await collect(open(setUp({ loader }), framesOf(frame("a"), numbered(undefined, 3), numbered("b", 2))));
    expect(sequences).toEqual([0, 3, 2]);
  });

  test("ends with an empty last result when its engine gave none, and gives none after the last", async () => {
    const short: Loader = async function* () {
      yield result(Status.CONTINUE, "x");
    };
    expect(await collect(open(setUp({ loader: short }), framesOf(frame("a", 0))))).toEqual(["1 x", "2 "]);
    const long: Loader = async function* () {
      yield result(Status.END, "x");
      yield result(Status.CONTINUE, "y");
      throw new ServingError("ENGINE_FAILED", "while it ended");
    };
    const line = setUp({ loader: long });
    expect(await collect(open(line, framesOf(frame("a", 0))))).toEqual(["2 x"]);
    expect(line.reports.map(({ outcome }) => outcome)).toEqual(["OK"]);
  });

  test("of a service for once-calls is one call", async () => {
    for (const place of [3, 2, undefined] as const) {
      const line = setUp({ once: true, stream: false });
      expect(await collect(open(line, andSilence(frame("a", place))))).toEqual(["3 a"]);
    }
    expect(await collect(open(setUp({ once: true }), andSilence(frame("a", 3))))).toEqual(["3 a"]);
    const begun = await errorOf(open(setUp({ once: true, stream: false }), andSilence(frame("a", 0))));
    expect(begun).toMatchObject({ reason: "SCHEMA_VIOLATION", message: expect.stringContaining("$.header.status") });
  });
});

describe("a session that cannot begin", () => {
  test("says so in its events, and is reported", async () => {
    const line = setUp();
    const call = callOf(undefined, "/nobody");
    const session = line.pipeline.open({ call, ...anybody, frames: andSilence(), encode });
    expect([session.sid, session.service]).toEqual(["ase1", ""]);
    expect((await errorOf(session.events)).reason).toBe("SERVICE_NOT_FOUND");
    expect(line.reports).toMatchObject([{ service: "", outcome: "SERVICE_NOT_FOUND" }]);
  });

  test("is refused while the gateway drains, and when it has as many as it may", async () => {
    const draining = setUp({ stages: { isDraining: () => true } });
    expect((await errorOf(open(draining, framesOf(frame("a", 0))))).reason).toBe("DRAINING");
    const line = setUp();
    const running = [open(line, andSilence(frame("a", 0))), open(line, andSilence(frame("a", 0)))];
    for (const events of running) await events.next();
    expect(line.pipeline.active()).toEqual(new Map([["echo", 2]]));
    expect((await errorOf(open(line, framesOf(frame("a", 0))))).reason).toBe("SERVICE_BUSY");
    for (const events of running) await events.return(undefined);
    expect(line.pipeline.active().size).toBe(0);
    expect(await collect(open(line, framesOf(frame("a", 2))))).toHaveLength(3);
  });

  test("names what is wrong with its first frame, or that there is none", async () => {
    const large = await errorOf(open(setUp(), framesOf(frame("123456789", 0))));
    expect(large).toMatchObject({ reason: "PAYLOAD_TOO_LARGE", message: expect.stringContaining("$.payload.data") });
    expect((await errorOf(open(setUp(), framesOf(frame("a", 0, {}))))).reason).toBe("APP_ID_MISSING");
    expect((await errorOf(open(setUp(), framesOf()))).reason).toBe("SCHEMA_VIOLATION");
  });
});

describe("a session's end", () => {
  test("is what is wrong with a later frame, and the loader's side is left", async () => {
    let isLeft = false;
    const loader: Loader = async function* (...session) {
      try {
        yield* echo(...session);
      } finally {
        isLeft = true;
      }
    };
    const line = setUp({ loader });
    const error = await errorOf(open(line, framesOf(frame("a", 0), frame("b", 1, { status: 7 }))));
    expect(error).toMatchObject({ reason: "SCHEMA_VIOLATION", message: expect.stringContaining("$.header.status") });
    expect(isLeft).toBe(true);
    expect(line.reports).toMatchObject([{ outcome: "SCHEMA_VIOLATION", framesIn: 2, framesOut: 1 }]);
  });

  /** Waits for the signal as a loader client does. */
  const waiting: Loader = async function* (_, __, { signal }) {
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    yield announcement;
    await aborted;
    throw new ServingError("CANCELED", "the call was canceled");
  };

  test("comes when neither side says anything, and says that it is the session's timeout", async () => {
    const error = await errorOf(open(setUp({ loader: waiting, idleTimeoutMs: 20 }), andSilence(frame("a", 0))));
    expect(error).toMatchObject({ reason: "SESSION_TIMEOUT", message: expect.stringContaining("silent for 20 ms") });
    const unopened = await errorOf(open(setUp({ idleTimeoutMs: 20 }), andSilence()));
    expect(unopened.reason).toBe("SESSION_TIMEOUT");
  });

  test("does not come from silence once the input has ended: the engine may take its time", async () => {
    const loader: Loader = async function* (_, inputs) {
      yield announcement;
      for await (const _ of inputs);
      await Bun.sleep(60);
      yield result(Status.END, "late");
    };
    const events = open(setUp({ loader, idleTimeoutMs: 20 }), framesOf(frame("a", 0), frame("b", 2)));
    expect(await collect(events)).toEqual(["opened", "2 late"]);
  });

  test("comes after the whole time that a session may take", async () => {
    const error = await errorOf(open(setUp({ loader: waiting, totalTimeoutMs: 20 }), andSilence(frame("a", 0))));
    expect(error).toMatchObject({ reason: "SESSION_TIMEOUT", message: expect.stringContaining("lasted 20 ms") });
    const atLoader: Loader = async function* () {
      yield announcement;
      throw new ServingError("DEADLINE_EXCEEDED", "too long");
    };
    expect((await errorOf(open(setUp({ loader: atLoader }), andSilence(frame("a", 0))))).reason).toBe(
      "SESSION_TIMEOUT",
    );
  });

  test("is CANCELED when the caller hangs up, or what the caller's signal says", async () => {
    for (const reason of [new Error("gone"), new ServingError("PAYLOAD_TOO_LARGE", "too much")]) {
      const caller = new AbortController();
      const line = setUp({ loader: waiting });
      const events = open(line, andSilence(frame("a", 0)), callOf(caller.signal));
      await events.next();
      caller.abort(reason);
      const expected = reason instanceof ServingError ? reason.reason : "CANCELED";
      expect((await errorOf(events)).reason).toBe(expected);
      expect(line.reports.map(({ outcome }) => outcome)).toEqual([expected]);
    }
  });

  test("is CANCELED when its reader leaves in the middle, and OK when it leaves with the last result", async () => {
    const line = setUp();
    for await (const _ of open(line, andSilence(frame("a", 0)))) break;
    for await (const event of open(line, framesOf(frame("a", 2))))
      if (event.type === "result" && event.status === 2) break;
    expect(line.reports.map(({ outcome }) => outcome)).toEqual(["CANCELED", "OK"]);
  });

  test("comes to all of them at once when the gateway says so", async () => {
    const line = setUp({ loader: waiting });
    const sessions = [open(line, andSilence(frame("a", 0))), open(line, andSilence(frame("a", 0)))];
    for (const events of sessions) await events.next();
    line.pipeline.abortAll(new ServingError("DRAINING", "shutting down"));
    for (const events of sessions) expect((await errorOf(events)).reason).toBe("DRAINING");
  });
});
