import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ServingError } from "../../proto/errors.ts";
import { ErrorDetailSchema } from "../../proto/gen/athena/v1/error_pb.ts";
import type { StreamInput } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Endpoint } from "../types.ts";
import { createLoaderClient } from "./loader-client.ts";
import { callOptions, errorOf, request, serve, serveRaw, stopServers } from "./test-loader.ts";
import { announcement, chunk, result, serveSessions, silence, textOf } from "./test-stream-loader.ts";
import type { CallOptions } from "./unary.ts";

const maxResponseBytes = 1_000_000;
const folder = mkdtempSync(join(tmpdir(), "stream-call-"));
const client = createLoaderClient({ maxResponseBytes });

afterEach(stopServers);

afterAll(() => {
  client[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function* chunks(...texts: readonly string[]): AsyncGenerator<StreamInput> {
  for (const text of texts) yield chunk(text);
}

async function collect(
  endpoint: Endpoint,
  inputs: AsyncIterable<StreamInput>,
  options: CallOptions = callOptions(),
): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of client.inferStream(endpoint, request, inputs, options)) {
    texts.push(message.response === undefined ? "taken" : textOf(message));
  }
  return texts;
}

/** A session that gives each chunk back, after its announcement. */
const echo: Parameters<typeof serveSessions>[0] = async function* (messages) {
  yield announcement;
  for await (const message of messages) if (message.message.case === "input") yield result(textOf(message));
};

describe("a session", () => {
  for (const unix of [undefined, join(folder, "loader.sock")]) {
    test(`over ${unix === undefined ? "TCP" : "a Unix socket"} opens with its request and carries chunks both ways`, async () => {
      let head: unknown;
      const endpoint = serveSessions(async function* (messages, context) {
        yield announcement;
        for await (const { message } of messages) {
          if (message.case === "open") {
            head = [message.value, context.requestHeader.get("athena-announce"), context.timeoutMs()];
          } else yield result(textOf({ $typeName: "athena.v1.InferStreamRequest", message }));
        }
      }, unix);
      expect(await collect(endpoint, chunks("a", "b", "c"), callOptions(4321))).toEqual(["taken", "a", "b", "c"]);
      expect(head).toEqual([request, "1", expect.any(Number)]);
    });
  }

  test("answers a chunk before the next one is sent", async () => {
    const endpoint = serveSessions(echo);
    const answered: PromiseWithResolvers<void>[] = [0, 1, 2].map(() => Promise.withResolvers<void>());
    async function* inputs() {
      for (const [index, { promise }] of answered.entries()) {
        yield chunk(`${index}`);
        await promise;
      }
    }
    const texts: string[] = [];
    for await (const message of client.inferStream(endpoint, request, inputs(), callOptions())) {
      texts.push(textOf(message));
      answered[texts.length - 2]?.resolve();
    }
    expect(texts).toEqual(["", "0", "1", "2"]);
  });

  test("learns the load from the answer's head", async () => {
    const endpoint = serveSessions(async function* (messages, context) {
      context.responseHeader.set("athena-load", "8;6;5;0;0");
      yield* echo(messages, context);
    });
    await collect(endpoint, chunks());
    expect(endpoint.load).toEqual({ total: 8, best: 6, idle: 5, queued: 0, waitMs: 0 });
  });

  test("goes on beside 400 others, more than one connection carries", async () => {
    const endpoint = serveSessions(echo);
    const go = Promise.withResolvers<void>();
    let taken = 0;
    const sessions = Array.from({ length: 400 }, async (_, index) => {
      async function* inputs() {
        await go.promise;
        for (let i = 0; i < 3; i += 1) yield chunk(`${index}.${i}`);
      }
      const texts: string[] = [];
      for await (const message of client.inferStream(endpoint, request, inputs(), callOptions(20_000))) {
        if (message.response !== undefined) texts.push(textOf(message));
        else if (++taken === 400) go.resolve();
      }
      return texts;
    });
    for (const [index, texts] of (await Promise.all(sessions)).entries()) {
      expect(texts).toEqual([`${index}.0`, `${index}.1`, `${index}.2`]);
    }
  });
});

describe("a session's end", () => {
  test("is the error that the loader states, after the results before it", async () => {
    const detail = create(ErrorDetailSchema, { reason: "SERVICE_BUSY" });
    const endpoint = serveSessions(async function* () {
      yield result("a");
      throw new ConnectError("no slot", Code.ResourceExhausted, { "retry-after": "3" }, [
        { desc: ErrorDetailSchema, value: detail },
      ]);
    });
    const texts: string[] = [];
    const reading = (async () => {
      for await (const message of client.inferStream(endpoint, request, silence(), callOptions())) {
        texts.push(textOf(message));
      }
    })();
    expect(await errorOf(reading)).toMatchObject({ reason: "SERVICE_BUSY", message: "no slot", retryAfterMs: 3000 });
    expect(texts).toEqual(["a"]);
  });

  test("is what the input throws, and the loader hears of it", async () => {
    const heard = Promise.withResolvers<void>();
    const endpoint = serveSessions(async function* (messages, { signal }) {
      signal.addEventListener("abort", () => heard.resolve());
      yield announcement;
      for await (const _ of messages) yield result("x");
    });
    async function* inputs() {
      yield chunk("good");
      throw new ServingError("SCHEMA_VIOLATION", "bad chunk");
    }
    expect(await errorOf(collect(endpoint, inputs()))).toMatchObject({
      reason: "SCHEMA_VIOLATION",
      message: "bad chunk",
    });
    await heard.promise;
  });

  for (const how of ["the caller hangs up", "the deadline passes", "the reader leaves"] as const) {
    test(`comes at once when ${how} in the middle of silence; the loader hears of it and the input is closed`, async () => {
      const heard = Promise.withResolvers<void>();
      const closed = Promise.withResolvers<void>();
      let hasInputEnded = false;
      const endpoint = serveSessions(async function* (messages, { signal }) {
        signal.addEventListener("abort", () => heard.resolve());
        yield announcement;
        for await (const _ of messages);
        // An engine would take this for the end of a session that is to be answered.
        hasInputEnded = true;
        await heard.promise;
      });
      const caller = new AbortController();
      const inputs: AsyncIterable<StreamInput> = {
        [Symbol.asyncIterator]: () => ({
          next: () => new Promise(() => {}),
          async return() {
            closed.resolve();
            return { done: true, value: undefined };
          },
        }),
      };
      const options = callOptions(how === "the deadline passes" ? 300 : 5000, caller.signal);
      const reading = (async () => {
        for await (const _ of client.inferStream(endpoint, request, inputs, options)) {
          if (how === "the reader leaves") break;
          if (how === "the caller hangs up") caller.abort();
        }
      })();
      if (how === "the reader leaves") await reading;
      else {
        const { reason } = await errorOf(reading);
        expect(reason).toBe(how === "the deadline passes" ? "DEADLINE_EXCEEDED" : "CANCELED");
      }
      await heard.promise;
      await closed.promise;
      expect(hasInputEnded).toBe(false);
    });
  }

  test("is ENDPOINT_LOST when the connection breaks, and ENDPOINT_UNREACHABLE when there is none", async () => {
    const broken = serveRaw("not HTTP/2", "break");
    expect((await errorOf(collect(broken, silence()))).reason).toBeOneOf(["ENDPOINT_LOST", "ENDPOINT_UNREACHABLE"]);
    const endpoint = serveSessions(async function* () {
      yield announcement;
      stopServers();
      await new Promise(() => {});
    });
    expect((await errorOf(collect(endpoint, silence()))).reason).toBe("ENDPOINT_LOST");
    expect((await errorOf(collect(endpoint, silence()))).reason).toBe("ENDPOINT_UNREACHABLE");
    const nobody: Endpoint = { ...endpoint, url: `unix:${join(folder, "nobody.sock")}` };
    expect((await errorOf(collect(nobody, silence()))).reason).toBe("ENDPOINT_UNREACHABLE");
  });

  test("is ENDPOINT_LOST for an answer that is no Connect stream", async () => {
    const endpoint = serve(() => new Response("hello"));
    expect((await errorOf(collect(endpoint, silence()))).reason).toBe("ENDPOINT_LOST");
  });

  test("is OUTPUT_UNEXPECTED for a result larger than allowed", async () => {
    const endpoint = serveSessions(async function* () {
      yield result(new Uint8Array(maxResponseBytes + 1));
    });
    expect((await errorOf(collect(endpoint, silence()))).reason).toBe("OUTPUT_UNEXPECTED");
  });

  test("is known without a call when the caller has left before, or the deadline has passed", async () => {
    const endpoint = serveSessions(echo);
    expect((await errorOf(collect(endpoint, silence(), callOptions(0)))).reason).toBe("DEADLINE_EXCEEDED");
    const left = callOptions(1000, AbortSignal.abort());
    expect((await errorOf(collect(endpoint, silence(), left))).reason).toBe("CANCELED");
  });
});

describe("back-pressure", () => {
  const large = new Uint8Array(100_000);

  test("reaches the loader: it does not compute what its reader does not read", async () => {
    let computed = 0;
    const endpoint = serveSessions(async function* () {
      for (;;) {
        computed += 1;
        yield result(large);
      }
    });
    let read = 0;
    for await (const _ of client.inferStream(endpoint, request, silence(), callOptions())) {
      read += 1;
      // Long enough for a loader that does not wait to compute thousands.
      if (read === 5) await Bun.sleep(300);
      if (read === 10) break;
    }
    expect(computed).toBeLessThan(60);
  });

  test("reaches the input: it is not pulled while the loader does not take it", async () => {
    const release = Promise.withResolvers<void>();
    let given = 0;
    async function* inputs() {
      for (let index = 0; index < 200; index += 1) {
        given += 1;
        yield chunk("x".repeat(100_000));
      }
    }
    const endpoint = serveSessions(async function* (messages) {
      yield announcement;
      await release.promise;
      let taken = 0;
      for await (const { message } of messages) if (message.case === "input") taken += 1;
      yield result(`${taken}`);
    });
    const reading = collect(endpoint, inputs(), callOptions(20_000));
    await Bun.sleep(500);
    expect(given).toBeLessThan(100);
    release.resolve();
    expect(await reading).toEqual(["taken", "200"]);
  });
});
