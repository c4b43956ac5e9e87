import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { errorTable, isReason, type Reason, ServingError } from "../../proto/errors.ts";
import {
  InferRequestSchema,
  type InferStreamResponse,
  type StreamInput,
} from "../../proto/gen/athena/v1/inference_pb.ts";
import { createRoundRobin } from "../balancer/round-robin.ts";
import { createPool, type Pool } from "../pool/pool.ts";
import type { Endpoint } from "../types.ts";
import { type DispatchSessionOptions, dispatchSession } from "./dispatch.ts";
import { createRetryBudget } from "./retry-budget.ts";
import type { StreamCaller } from "./stream-call.ts";
import { errorOf } from "./test-loader.ts";
import { announcement, chunk, result, silence, textOf } from "./test-stream-loader.ts";

const open = create(InferRequestSchema, { service: "echo", sid: "s1" });
const now = (): number => performance.now();

function poolOf(...urls: readonly string[]): Pool {
  return createPool({
    service: "echo",
    endpoints: urls.map((url) => ({ url, weight: 1 })),
    balancer: createRoundRobin(),
    outlier: { now, random: () => 0 },
  });
}

function optionsWith(inferStream: StreamCaller, changes: Partial<DispatchSessionOptions> = {}): DispatchSessionOptions {
  return {
    key: undefined,
    deadline: now() + 10_000,
    openDeadline: now() + 5000,
    signal: new AbortController().signal,
    budget: createRetryBudget({ now }),
    client: { inferStream },
    now,
    ...changes,
  };
}

async function* chunks(...texts: readonly string[]): AsyncGenerator<StreamInput> {
  for (const text of texts) yield chunk(text);
}

type Failing = Readonly<Record<string, { readonly reason: Reason; readonly when: "before" | "after" }>>;

/**
 * Loaders whose sessions fail as told, before or after they take the session, and otherwise give each chunk back. As the
 * client does, they ask for a chunk before they know how the session goes.
 */
function loaders(failing: Failing = {}) {
  const called: string[] = [];
  const inferStream: StreamCaller = async function* ({ url }, _, inputs) {
    called.push(url);
    const source = inputs[Symbol.asyncIterator]();
    let next = source.next();
    const failure = failing[url];
    try {
      await Promise.resolve();
      if (failure?.when === "before") throw new ServingError(failure.reason, `${url} failed`);
      yield announcement;
      for (let item = await next; item.done !== true; item = await next) {
        next = source.next();
        yield result(`${url}:${new TextDecoder().decode(item.value.parts[0]?.data)}`);
        if (failure !== undefined) throw new ServingError(failure.reason, `${url} failed`);
      }
    } finally {
      await source.return?.();
    }
  };
  return { called, inferStream };
}

async function collect(session: AsyncIterable<InferStreamResponse>): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of session) texts.push(message.response === undefined ? "taken" : textOf(message));
  return texts;
}

const inFlight = (pool: Pool): number[] => pool.endpoints().map((endpoint: Endpoint) => endpoint.inFlight);

describe("dispatchSession", () => {
  for (const reason of Object.keys(errorTable).filter(isReason)) {
    const triesElsewhere = errorTable[reason].retry === "elsewhere";
    test(`${triesElsewhere ? "opens the session elsewhere" : "gives up"} after ${reason}, and loses no chunk`, async () => {
      const { called, inferStream } = loaders({ a: { reason, when: "before" } });
      const session = collect(dispatchSession(poolOf("a", "b"), open, chunks("1", "2", "3"), optionsWith(inferStream)));
      if (triesElsewhere) expect(await session).toEqual(["taken", "b:1", "b:2", "b:3"]);
      else expect((await errorOf(session)).reason).toBe(reason);
      expect(called).toEqual(triesElsewhere ? ["a", "b"] : ["a"]);
    });
  }

  test("never begins a session again that a loader has taken, whatever its end", async () => {
    const { called, inferStream } = loaders({ a: { reason: "ENDPOINT_LOST", when: "after" } });
    const pool = poolOf("a", "b");
    const session = collect(dispatchSession(pool, open, chunks("1", "2"), optionsWith(inferStream)));
    expect((await errorOf(session)).reason).toBe("ENDPOINT_LOST");
    expect(called).toEqual(["a"]);
    expect(inFlight(pool)).toEqual([0, 0]);
  });

  test("holds its lease exactly as long as the session is there", async () => {
    const pool = poolOf("a");
    const { inferStream } = loaders();
    const session = dispatchSession(pool, open, chunks("1", "2"), optionsWith(inferStream));
    expect(inFlight(pool)).toEqual([0]);
    await session.next();
    expect(inFlight(pool)).toEqual([1]);
    await session.next();
    expect(inFlight(pool)).toEqual([1]);
    await session.return();
    expect(inFlight(pool)).toEqual([0]);
  });

  test("says that a loader has taken the session before its first result, also for one that does not announce it", async () => {
    const inferStream: StreamCaller = async function* () {
      yield result("at once");
    };
    expect(await collect(dispatchSession(poolOf("a"), open, silence(), optionsWith(inferStream)))).toEqual([
      "taken",
      "at once",
    ]);
  });

  test("gives up when no loader has taken the session in time, though it may itself go on for longer", async () => {
    const inferStream: StreamCaller = async function* (_, __, ___, { signal }) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw new ServingError("CANCELED", "canceled");
    };
    const options = optionsWith(inferStream, { openDeadline: now() + 20 });
    const error = await errorOf(collect(dispatchSession(poolOf("a"), open, silence(), options)));
    expect(error).toMatchObject({ reason: "DEADLINE_EXCEEDED", message: expect.stringContaining("'echo'") });
  });

  test("closes the input when the session ends, however it ends", async () => {
    const fails: Failing = { a: { reason: "ENGINE_FAILED", when: "before" } };
    for (const failing of [{}, fails]) {
      const source = chunks("1");
      let isClosed = false;
      const inputs: AsyncIterable<StreamInput> = {
        [Symbol.asyncIterator]: () => ({
          next: () => source.next(),
          async return() {
            isClosed = true;
            return { done: true, value: undefined };
          },
        }),
      };
      const { inferStream } = loaders(failing);
      await collect(dispatchSession(poolOf("a"), open, inputs, optionsWith(inferStream))).catch(() => {});
      expect(isClosed).toBe(true);
    }
  });

  test("has no call in flight after any failures, and gives chunks in order and once", async () => {
    const reasons = Object.keys(errorTable).filter(isReason);
    const failure = fc.record({ reason: fc.constantFrom(...reasons), when: fc.constantFrom("before", "after") });
    const some = fc.option(failure, { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.record({ a: some, b: some, c: some }), fc.nat(4), async (plan, count) => {
        const failing = Object.fromEntries(
          Object.entries(plan).flatMap(([url, how]) => (how === undefined ? [] : [[url, how] as const])),
        );
        const pool = poolOf("a", "b", "c");
        const { inferStream } = loaders(failing);
        const texts = Array.from({ length: count }, (_, index) => `${index}`);
        const seen: string[] = [];
        try {
          for await (const message of dispatchSession(pool, open, chunks(...texts), optionsWith(inferStream))) {
            if (message.response !== undefined) seen.push(textOf(message).slice(2));
          }
          expect(seen).toEqual(texts);
        } catch (error) {
          expect(error).toBeInstanceOf(ServingError);
          expect(seen).toEqual(texts.slice(0, seen.length));
        }
        expect(inFlight(pool)).toEqual([0, 0, 0]);
      }),
      { numRuns: 200 },
    );
  });
});
