import { describe, expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import { createOpenAdmission } from "../admission/admission.ts";
import type { SessionEvent, SessionPipeline } from "../session-pipeline.ts";
import type { Call } from "../types.ts";
import { answerStream, type StreamKind, streamKindFrom } from "./stream-answer.ts";

type Events = (signal: AbortSignal) => AsyncGenerator<SessionEvent<string>>;

function answer(kind: StreamKind, events: Events, slowReaderTimeoutMs = 5000): Promise<Response> {
  const sessions: Pick<SessionPipeline, "open"> = {
    // The results are texts already: what is looked at is how they are sent.
    open: ({ call }) => ({ sid: "s", service: "echo", events: events(call.signal) as never }),
  };
  const call: Call = {
    method: "POST",
    target: () => "/echo",
    path: "/echo",
    host: "",
    serviceId: null,
    clientAddress: "",
    header: () => null,
    signal: new AbortController().signal,
  };
  const client = { readBody: async () => "{}", cut() {}, letGo() {} };
  return answerStream(kind, call, client, {
    sessions: sessions as SessionPipeline,
    admission: createOpenAdmission(100),
    decode: () => ({ header: {}, parameter: {}, payload: [] }),
    keepAliveMs: 30,
    slowReaderTimeoutMs,
    isDraining: () => false,
  });
}

const result = (text: string): SessionEvent<string> => ({ type: "result", status: 1, answer: text });

describe("streamKindFrom()", () => {
  test("finds what asks for a stream, and nothing else", () => {
    expect(streamKindFrom("text/event-stream")).toBe("sse");
    expect(streamKindFrom("application/json, text/event-stream;q=0.9")).toBe("sse");
    for (const type of ["application/x-ndjson", "application/jsonl"]) expect(streamKindFrom(type)).toBe("jsonl");
    for (const type of [null, "*/*", "application/json", "text/html,application/xml;q=0.9"]) {
      expect(streamKindFrom(type)).toBeUndefined();
    }
  });
});

describe("a stream of results", () => {
  test("puts JSON that has several lines on one", async () => {
    const events: Events = async function* () {
      yield { type: "opened" };
      yield result('{"a":\n\r\n[1,\n2]}');
    };
    expect(await (await answer("sse", events)).text()).toBe('data: {"a": [1, 2]}\n\n');
    expect(await (await answer("jsonl", events)).text()).toBe('{"a": [1, 2]}\n');
  });

  test("begins without a result when the first takes long, and says then that it lives", async () => {
    const events: Events = async function* () {
      await Bun.sleep(100);
      yield result("{}");
    };
    expect(await (await answer("sse", events)).text()).toMatch(/^(: keep-alive\n\n)+data: \{\}\n\n$/);
    expect(await (await answer("jsonl", events)).text()).toMatch(/^\n+\{\}\n$/);
  });

  test("tells an error that comes after its head as its last word", async () => {
    const events: Events = async function* () {
      yield result("{}");
      throw new ServingError("ENGINE_FAILED", "broken");
    };
    expect(await (await answer("sse", events)).text()).toBe(
      'data: {}\n\nevent: error\ndata: {"header":{"code":10909,"message":"broken","sid":"s","status":0}}\n\n',
    );
  });

  test("ends its session when its client leaves, and when it does not read", async () => {
    for (const how of ["leaves", "does not read"]) {
      const ended = Promise.withResolvers<unknown>();
      const events: Events = async function* (signal) {
        signal.addEventListener("abort", () => ended.resolve(signal.reason));
        for (;;) yield result("{}");
      };
      const reader = (await answer("sse", events, 30)).body?.getReader();
      await reader?.read();
      if (how === "leaves") await reader?.cancel();
      const message = how === "leaves" ? "the client hung up" : "the client does not read its results";
      expect(await ended.promise).toMatchObject({ reason: "CANCELED", message });
    }
  });
});
