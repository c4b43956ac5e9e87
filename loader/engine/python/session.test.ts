import { afterEach, describe, expect, test } from "bun:test";
import { ServingError } from "../../../proto/errors.ts";
import type { EngineInput } from "../engine.ts";
import {
  ask,
  chunks,
  collect,
  failureOf,
  never,
  partsOf,
  requestOf,
  startEngine,
  stopEngines,
  untilNoted,
} from "./fixture-engine.ts";

afterEach(stopEngines);

const start = async (service: string) => startEngine("modern.py", { class: service });
const open = (parameters: Record<string, string> = {}, sid = "sid-1") => requestOf({}, parameters, sid);

for (const kind of ["count", "count_async"] as const) {
  describe(`a service that yields (${kind})`, () => {
    test("answers sessions, one result for each item as it comes, and an empty last one", async () => {
      const { engine, told } = await start(kind);
      expect(told).toMatchObject({
        once: true,
        stream: true,
        inputs: [{ name: "text" }],
        outputs: [{ name: "result" }],
      });
      expect(await collect(engine, open(), chunks({ text: "abc" }))).toEqual([
        "BEGIN a-",
        "CONTINUE b-",
        "CONTINUE c-",
        "END ",
      ]);
      expect(await collect(engine, open(), chunks({ text: "" }))).toEqual(["END "]);
    });

    test("gets an input that comes in several chunks as a whole", async () => {
      const { engine } = await start(kind);
      expect(await collect(engine, open(), chunks({ text: "a" }, { text: "" }, { text: "b" }))).toEqual([
        "BEGIN a-",
        "CONTINUE b-",
        "END ",
      ]);
    });

    test("answers once-calls with its items put together", async () => {
      const { engine } = await start(kind);
      expect(await ask(engine, requestOf({ text: "abc" }))).toBe("a-b-c-");
      expect(await ask(engine, requestOf({ text: "" }))).toBe("");
    });

    test("may fail in the middle, once and in a session, and is closed", async () => {
      const { engine } = await start(kind);
      const expected = { reason: "ENGINE_FAILED", engineCode: 7, message: "a mark" };
      expect(await failureOf(ask(engine, requestOf({ text: "a!" })))).toMatchObject(expected);
      expect(await failureOf(collect(engine, open(), chunks({ text: "a!" })))).toMatchObject(expected);
      expect(await failureOf(collect(engine, open({ pause: "x" }), chunks({ text: "a" })))).toMatchObject({
        reason: "INVALID_INPUT",
        message: "parameter pause must be a number, got 'x'",
      });
      expect(await failureOf(collect(engine, open(), chunks({})))).toMatchObject({
        reason: "INVALID_INPUT",
        message: "payload.text is required",
      });
      expect(await untilNoted(2)).toEqual(["closed", "closed"]);
    });

    for (const how of ["leaves", "hangs up"] as const) {
      test(`is closed when its caller ${how} in the middle of a session`, async () => {
        const { engine } = await start(kind);
        const caller = new AbortController();
        const endless = engine.stream(open({ pause: "0.01" }), chunks({ text: "x".repeat(5000) }), caller.signal);
        const reading = (async () => {
          for await (const _ of endless) {
            if (how === "leaves") break;
            caller.abort(new ServingError("CANCELED", "hung up"));
          }
        })();
        if (how === "leaves") await reading;
        else await expect(reading).rejects.toThrow("hung up");
        expect(await untilNoted(1)).toEqual(["closed"]);
        expect(await ask(engine, requestOf({ text: "a" }))).toBe("a-");
      });
    }

    test("is closed when the caller of a once-call hangs up", async () => {
      const { engine } = await start(kind);
      const caller = new AbortController();
      const call = failureOf(ask(engine, requestOf({ text: "x".repeat(5000) }, { pause: "0.01" }), caller.signal));
      caller.abort(new ServingError("CANCELED", "hung up"));
      expect(await call).toMatchObject({ reason: "CANCELED" });
      expect(await ask(engine, requestOf({ text: "a" }))).toBe("a-");
    });
  });
}

describe("a session with an input that is an iterator", () => {
  /** Sends a chunk when the answer to the one before has come. */
  async function turnByTurn(service: string, texts: readonly string[]): Promise<readonly string[]> {
    const { engine } = await start(service);
    const turns = texts.map(() => Promise.withResolvers<void>());
    async function* inputs(): AsyncGenerator<EngineInput> {
      for (const [index, text] of texts.entries()) {
        yield { parts: partsOf({ sound: text, ...(index === 0 ? { language: "fr" } : {}) }), last: false };
        await turns[index]?.promise;
      }
      yield { parts: [], last: true };
    }
    const results: string[] = [];
    for await (const { parts } of engine.stream(open({ prefix: ">" }), inputs(), never)) {
      results.push(new TextDecoder().decode(parts[0]?.data));
      turns[results.length - 1]?.resolve();
    }
    return results;
  }

  test("answers each chunk before the next one comes; other inputs come with the first", async () => {
    expect(await turnByTurn("Listener", ["a", "b", "c"])).toEqual([">fr:A", ">fr:B", ">fr:C", ""]);
  });

  test("may be a class that also answers once-calls, in another way", async () => {
    const { engine, told } = await start("Listener");
    expect(told).toMatchObject({ once: true, stream: true });
    expect(told.inputs).toMatchObject([
      { name: "sound", required: true },
      { name: "language", required: false },
    ]);
    expect(await ask(engine, requestOf({ sound: "ab" }, { prefix: "<" }))).toBe("<AB");
    expect(await collect(engine, open(), chunks({ sound: "a", language: "en" }, { sound: "" }))).toEqual([
      "BEGIN en:A",
      "END ",
    ]);
    // One kind of call alone requires it, so that the definition of both does not.
    expect(await failureOf(collect(engine, open(), chunks({ sound: "a" })))).toMatchObject({
      reason: "INVALID_INPUT",
      message: "payload.language is required",
    });
  });

  test("may end in one result, once as well", async () => {
    const { engine } = await start("listen");
    expect(await collect(engine, open(), chunks({ sound: "a" }, { sound: "b" }, { sound: "c" }))).toEqual([
      "END a+b+c",
    ]);
    expect(await ask(engine, requestOf({ sound: "ab" }))).toBe("ab");
  });

  test("ends in the function when the caller is gone", async () => {
    const { engine } = await start("listen");
    const caller = new AbortController();
    async function* inputs(): AsyncGenerator<EngineInput> {
      yield { parts: partsOf({ sound: "a" }), last: false };
      await untilNoted(1);
      caller.abort(new ServingError("CANCELED", "hung up"));
      await new Promise(() => {});
    }
    expect(await failureOf(collect(engine, open(), inputs(), caller.signal))).toMatchObject({ message: "hung up" });
    expect(await untilNoted(2)).toEqual(["begun", "left"]);
  });

  test("runs beside others, each with its own chunks", async () => {
    const { engine } = await start("Listener");
    const sessions = ["w", "x", "y", "z"].map((name) =>
      collect(
        engine,
        open({}, name),
        chunks(...Array.from({ length: 100 }, (_, i) => ({ sound: `${name}${i}`, language: "en" }))),
      ),
    );
    for (const [index, results] of (await Promise.all(sessions)).entries()) {
      expect(results).toHaveLength(101);
      expect(results[99]).toBe(`CONTINUE en:${"WXYZ"[index]}99`);
    }
  });
});

test("items that cannot be put together are for sessions alone", async () => {
  const { engine, told } = await start("count_json");
  expect(told).toMatchObject({ once: false, stream: true });
  expect(await collect(engine, open(), chunks({ text: "a" }))).toEqual(['BEGIN {"letter": "a"}', "END "]);
});
