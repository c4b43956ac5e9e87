import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ServingError } from "../../../proto/errors.ts";
import { InferResponseSchema } from "../../../proto/gen/athena/v1/inference_pb.ts";
import { PartType } from "../../../proto/gen/athena/v1/part_pb.ts";
import { ServiceDefinitionSchema } from "../../../proto/gen/athena/v1/service_pb.ts";
import { createOpenCaller } from "../../admission/admission.ts";
import { decodeEnvelope } from "../../envelope/decode.ts";
import { compileService } from "../../schema/compile.ts";
import type { SessionPipeline } from "../../session-pipeline.ts";
import type { Carrier, SessionSetup } from "./connection-session.ts";
import { createByteBudget } from "./inbox.ts";
import { createJsonCodec } from "./json-codec.ts";
import { beginResumable, type ResumableSession } from "./resumable-session.ts";

const service = compileService(create(ServiceDefinitionSchema, { id: "echo" }));
const codec = createJsonCodec({
  decode: (text) => decodeEnvelope(text),
  isMultiplexed: false,
  isResumable: true,
});

/** A line whose service gives each frame's data back; the last frame ends it. */
function echoLine() {
  const ends: string[] = [];
  const sessions: Pick<SessionPipeline, "open"> = {
    open: ({ call, frames, encode }) => ({
      sid: "s1",
      service: "echo",
      events: (async function* () {
        const aborted = new Promise<never>((_, reject) =>
          call.signal.addEventListener("abort", () => reject(call.signal.reason)),
        );
        aborted.catch(() => {});
        const source = frames[Symbol.asyncIterator]();
        try {
          yield { type: "opened" as const };
          for (;;) {
            const { done, value } = await Promise.race([source.next(), aborted]);
            if (done === true) break;
            const data = value.envelope.payload[0]?.data ?? new Uint8Array();
            const response = create(InferResponseSchema, { parts: [{ name: "data", type: PartType.TEXT, data }] });
            const status = value.place === 2 ? 2 : 1;
            yield { type: "result" as const, status, answer: encode(service, response, status) };
          }
          ends.push("OK");
        } catch (error) {
          ends.push(ServingError.from(error).reason);
          throw error;
        }
      })(),
    }),
  };
  return { sessions: sessions as SessionPipeline, ends };
}

interface Header {
  readonly seq?: number;
  readonly ack: number;
  readonly resume_token?: string;
  readonly code: number;
}

interface Received {
  readonly header: Header;
  readonly text: string;
}

/** A carrier whose frames a client reads when it is told to. */
function carrierOf() {
  const frames: Received[] = [];
  const ends: (ServingError | undefined)[] = [];
  let takenOver = 0;
  const carrier: Carrier = {
    send(data) {
      const { header, payload } = JSON.parse(String(data));
      frames.push({ header, text: payload === undefined ? "" : atob(payload.data.text) });
      return undefined;
    },
    onEnd: (error) => ends.push(error),
    onTakenOver() {
      takenOver += 1;
    },
    onForgotten() {},
  };
  return {
    carrier,
    frames,
    ends,
    get takenOver() {
      return takenOver;
    },
  };
}

function setUp(limits = {}) {
  const { sessions, ends } = echoLine();
  const header = (): null => null;
  const setup: SessionSetup = {
    sessions,
    call: {
      method: "GET",
      target: () => "/echo",
      path: "/echo",
      host: "",
      serviceId: null,
      clientAddress: "::1",
      header,
    },
    caller: createOpenCaller(100),
    codec,
    limits: { maxBytes: 1_000_000, budget: createByteBudget(1_000_000) },
  };
  const first = carrierOf();
  let forgotten = 0;
  const session = beginResumable({
    setup,
    cid: undefined,
    carrier: first.carrier,
    limits: { windowMs: 10_000, maxFrames: 8, maxBytes: 1_000_000, ...limits },
    onForgotten() {
      forgotten += 1;
    },
  });
  return {
    session,
    first,
    ends,
    get forgotten() {
      return forgotten;
    },
  };
}

function send(session: ResumableSession, seq: number | undefined, text: string, status = 1, ack?: number): void {
  const frame = { header: { app_id: "1", seq, ack, status }, payload: { data: { text: btoa(text) } } };
  session.take(codec.decode(JSON.stringify(frame), "echo"), 10);
}

function acknowledge(session: ResumableSession, ack: number): void {
  session.take(codec.decode(JSON.stringify({ header: { ack } }), "echo"), 10);
}

/** Lets everything that is under way happen. */
const settle = (): Promise<void> => new Promise(setImmediate);

type Step = "send" | "read" | "cut";

/** A client that follows the protocol over connections that are cut. */
function clientOf({ session, first }: ReturnType<typeof setUp>, total: number) {
  let link = first;
  let sent = 0;
  let read = 0;
  let lastSeq = 0;
  const seen: string[] = [];
  return {
    seen,
    send(count: number): void {
      for (let i = 0; i < count && sent < total; i += 1) {
        sent += 1;
        send(session, sent, `${sent}`, sent === total ? 2 : 1);
      }
    },
    read(count: number): void {
      const frames = link.frames.slice(read, read + count);
      read += frames.length;
      const numbered = frames.filter(({ header }) => header.seq !== undefined);
      expect(numbered.map(({ header }) => header.seq)).toEqual(numbered.map((_, index) => lastSeq + index + 1));
      lastSeq += numbered.length;
      seen.push(...numbered.map(({ text }) => text).filter((text) => text !== ""));
      if (lastSeq > 0) acknowledge(session, lastSeq);
    },
    /** Loses what was not read, and sends again some of what the gateway has taken. */
    async cut(again: number): Promise<void> {
      session.lose(new ServingError("CANCELED", "cut"), false);
      link = carrierOf();
      read = 0;
      expect(session.attach(link.carrier, lastSeq)).toBe(true);
      await settle();
      sent = Math.max(0, (link.frames[0]?.header.ack ?? 0) - again);
    },
  };
}

describe("a resumable session", () => {
  test("loses, doubles and reorders nothing, however often its connection is cut and wherever", async () => {
    const step = fc.record({
      action: fc.constantFrom<Step[]>("send", "send", "read", "read", "cut"),
      count: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 30 }), async (steps, total) => {
        const client = clientOf(setUp(), total);
        for (const { action, count } of steps) {
          // The session is forgotten with the acknowledgement of its last frame.
          if (client.seen.length === total) break;
          await client[action](count);
          await settle();
        }
        for (let i = 0; i < 200 && client.seen.length < total; i += 1) {
          client.send(5);
          await settle();
          client.read(100);
        }
        expect(client.seen).toEqual(Array.from({ length: total }, (_, index) => `${index + 1}`));
      }),
      { numRuns: 300 },
    );
  });

  test("waits with its results while its client acknowledges none", async () => {
    const { session, first } = setUp({ maxFrames: 4 });
    for (let seq = 1; seq <= 10; seq += 1) send(session, seq, `${seq}`);
    await settle();
    const numbered = () => first.frames.filter(({ header }) => header.seq !== undefined).length;
    expect(numbered()).toBe(4);
    acknowledge(session, 3);
    await settle();
    expect(numbered()).toBe(7);
  });

  test("says what it has taken in, though there is no result to say it with", async () => {
    const { session, first } = setUp({ maxFrames: 1 });
    await settle();
    for (let seq = 1; seq <= 16; seq += 1) send(session, seq, "x");
    await settle();
    expect(first.frames.at(-1)?.header).toMatchObject({ ack: 16 });
    expect(first.frames.at(-1)?.header.seq).toBeUndefined();
  });

  test("ends with an error for frames that leave a hole, have no number, or acknowledge what was never sent", async () => {
    for (const [mistake, message] of [
      [(s: ResumableSession) => send(s, 3, "x"), "'$.header.seq' must be 1, got 3"],
      [(s: ResumableSession) => send(s, undefined, "x"), "'$.header.seq' is required"],
      [(s: ResumableSession) => acknowledge(s, 99), "'$.header.ack' must be at most"],
    ] as const) {
      const { session, first } = setUp();
      mistake(session);
      await settle();
      expect(first.ends[0]?.message).toContain(message);
    }
  });

  test("is ended when its client does not come back in time, or leaves for good, and is forgotten once", async () => {
    for (const isForGood of [true, false]) {
      const line = setUp({ windowMs: 10 });
      send(line.session, 1, "x");
      await settle();
      line.session.lose(new ServingError("CANCELED", "hung up"), isForGood);
      await Bun.sleep(isForGood ? 0 : 30);
      await settle();
      expect(line.ends).toEqual(["CANCELED"]);
      expect(line.forgotten).toBe(1);
      expect(line.session.attach(carrierOf().carrier, 0)).toBe(false);
    }
  });

  test("keeps its last frames for a client that comes back, until they are acknowledged", async () => {
    const line = setUp();
    send(line.session, 1, "x", 2);
    await settle();
    expect(line.first.ends).toEqual([undefined]);
    line.session.lose(new ServingError("CANCELED", "cut"), false);
    const next = carrierOf();
    expect(line.session.attach(next.carrier, 1)).toBe(true);
    await settle();
    expect(next.frames.map(({ text }) => text)).toEqual(["", "x"]);
    expect(next.ends).toEqual([undefined]);
    acknowledge(line.session, 2);
    expect(line.forgotten).toBe(1);
  });

  test("tells the connection that it leaves, and refuses to go back behind what was acknowledged", async () => {
    const { session, first } = setUp();
    for (let seq = 1; seq <= 3; seq += 1) send(session, seq, "x");
    await settle();
    acknowledge(session, 2);
    expect(session.attach(carrierOf().carrier, 1)).toBe(false);
    expect(session.attach(carrierOf().carrier, 9)).toBe(false);
    expect(session.attach(carrierOf().carrier, 2)).toBe(true);
    expect(first.takenOver).toBe(1);
  });

  test("knows its own token alone", async () => {
    const { session, first } = setUp();
    await settle();
    const token = first.frames[0]?.header.resume_token ?? "";
    expect(token).toHaveLength(22);
    expect([session.knows(token), session.knows(`${token.slice(1)}x`), session.knows("")]).toEqual([
      true,
      false,
      false,
    ]);
  });
});
