import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../proto/errors.ts";
import { type BatchItem, createBatcher } from "./batcher.ts";

const never = new AbortController().signal;

/** A batcher on a clock of its own, whose computations end when they are told to. */
function build({ maxRows = 8, lanes = 1, maxDelayMs = 5 } = {}) {
  const clock = { now: 0 };
  const timers = new Set<{ readonly at: number; readonly callback: () => void }>();
  const groups: { readonly calls: readonly string[]; end(failed?: readonly string[]): void; break(): void }[] = [];
  const batcher = createBatcher<string, string>({
    maxRows,
    lanes,
    maxDelayMs,
    now: () => clock.now,
    setTimer(callback, delayMs) {
      const timer = { at: clock.now + delayMs, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    compute(calls) {
      const { promise, resolve, reject } = Promise.withResolvers<PromiseSettledResult<string>[]>();
      const outcome = (name: string, failed: readonly string[]): PromiseSettledResult<string> =>
        failed.includes(name)
          ? { status: "rejected", reason: new Error(`${name} failed`) }
          : { status: "fulfilled", value: `${name}!` };
      groups.push({
        calls,
        end: (failed = []) => resolve(calls.map((name) => outcome(name, failed))),
        break: () => reject(new Error("broken")),
      });
      return promise;
    },
  });
  const pass = async (ms: number): Promise<void> => {
    clock.now += ms;
    for (const timer of timers) {
      if (timer.at > clock.now) continue;
      timers.delete(timer);
      timer.callback();
    }
    await settle();
  };
  const call = (name: string, changes: Partial<BatchItem<string>> = {}): Promise<string> => {
    const answer = batcher.run({ call: name, rows: 1, key: "", signal: never, ...changes });
    // Those that fail are looked at later.
    answer.catch(() => {});
    return answer;
  };
  return { groups, pass, call, names: () => groups.map(({ calls }) => calls.join("")) };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

describe("createBatcher()", () => {
  test("computes a call that is alone at once, time after time", async () => {
    const { groups, pass, call, names } = build();
    for (const name of ["a", "b", "c"]) {
      const answer = call(name);
      expect(names().at(-1)).toBe(name);
      await pass(10);
      groups.at(-1)?.end();
      expect(await answer).toBe(`${name}!`);
    }
  });

  test("takes together what came while it computed, as many as fit, in order", async () => {
    const { groups, call, names } = build({ maxRows: 4 });
    for (const name of "abcdefg") void call(name);
    expect(names()).toEqual(["a"]);
    groups[0]?.end();
    await settle();
    expect(names()).toEqual(["a", "bcde"]);
    groups[1]?.end();
    await settle();
    expect(names()).toEqual(["a", "bcde", "fg"]);
  });

  test("counts rows, and computes a call with too many alone", async () => {
    const { groups, call, names } = build({ maxRows: 4 });
    void call("a");
    void call("b", { rows: 3 });
    void call("c", { rows: 2 });
    void call("d", { rows: 9 });
    void call("e");
    for (let turn = 0; turn < 4; turn += 1) {
      groups.at(-1)?.end();
      await settle();
    }
    expect(names()).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("puts calls of different kinds into different groups, the oldest first", async () => {
    const { groups, call, names } = build();
    void call("a");
    for (const [name, key] of ["bx", "cy", "dx", "ey"].map((text) => [text.charAt(0), text.charAt(1)])) {
      void call(name ?? "", { key: key ?? "" });
    }
    groups[0]?.end();
    await settle();
    groups[1]?.end();
    await settle();
    expect(names()).toEqual(["a", "bd", "ce"]);
  });

  test("waits for those who were there a moment ago, and then no longer than it may", async () => {
    const { groups, call, names, pass } = build();
    for (const name of "abcd") void call(name);
    await pass(20);
    groups[0]?.end();
    await settle();
    // The one who was answered is missed: the others wait for it.
    expect(names()).toEqual(["a"]);
    void call("e");
    await settle();
    expect(names()).toEqual(["a", "bcde"]);
    await pass(20);
    groups[1]?.end();
    await settle();
    void call("f");
    await pass(4);
    expect(names()).toHaveLength(2);
    await pass(1);
    expect(names()).toEqual(["a", "bcde", "f"]);
    // Nobody else came, so nobody else is expected any more.
    groups[2]?.end();
    await settle();
    void call("g");
    expect(names().at(-1)).toBe("g");
  });

  test("never waits longer than a computation takes", async () => {
    const { groups, call, names, pass } = build({ maxDelayMs: 100 });
    for (const name of "abc") void call(name);
    await pass(2);
    groups[0]?.end();
    await settle();
    expect(names()).toEqual(["a"]);
    await pass(2);
    expect(names()).toEqual(["a", "bc"]);
  });

  test("gives every lane its share", async () => {
    const { groups, call, names, pass } = build({ lanes: 2 });
    for (const name of "abcdef") void call(name);
    await pass(20);
    groups[0]?.end();
    await settle();
    expect(names()).toEqual(["a", "b", "cdef"].slice(0, 2));
    groups[1]?.end();
    await settle();
    // Two lanes are free, six were there: three for each.
    expect(names()).toEqual(["a", "b", "cdef"]);
  });

  test("fails one alone where one fails, and all where the computation does", async () => {
    const { groups, call } = build();
    const first = ["a", "b", "c"].map((name) => call(name));
    groups[0]?.end(["a"]);
    await settle();
    groups[1]?.end(["c"]);
    await settle();
    const outcomes = await Promise.allSettled(first);
    expect(
      outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : outcome.reason.message)),
    ).toEqual(["a failed", "b!", "c failed"]);
    const last = call("d");
    groups[2]?.break();
    expect(await last.catch((error: Error) => error.message)).toBe("broken");
  });

  test("lets a caller go at once, whether it waits or is computed", async () => {
    const { groups, call, names } = build();
    const reason = new ServingError("CANCELED", "gone");
    const callers = [new AbortController(), new AbortController()];
    const running = call("a", { signal: callers[0]?.signal ?? never });
    const waiting = call("b", { signal: callers[1]?.signal ?? never });
    for (const caller of callers) caller.abort(reason);
    expect(await running.catch((error) => error)).toBe(reason);
    expect(await waiting.catch((error) => error)).toBe(reason);
    expect(await call("c", { signal: AbortSignal.abort(reason) }).catch((error) => error)).toBe(reason);
    groups[0]?.end();
    await settle();
    expect(names()).toEqual(["a"]);
    void call("d");
    await settle();
    expect(names().at(-1)).toBe("d");
  });

  test("computes every call exactly once, whatever comes when", async () => {
    const events = fc.array(
      fc.oneof(
        fc.record({
          kind: fc.constant("call" as const),
          rows: fc.integer({ min: 1, max: 10 }),
          key: fc.constantFrom("x", "y"),
        }),
        fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 10 }) }),
        fc.record({ kind: fc.constant("end" as const) }),
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(events, fc.integer({ min: 1, max: 3 }), async (list, lanes) => {
        const { groups, call, pass, names } = build({ lanes });
        const answers: Promise<string>[] = [];
        let ended = 0;
        const end = async (): Promise<void> => {
          groups[ended]?.end();
          ended = Math.min(ended + 1, groups.length);
          await settle();
        };
        for (const event of list) {
          if (event.kind === "call") answers.push(call(`${answers.length},`, event));
          else await (event.kind === "pass" ? pass(event.ms) : end());
          expect(groups.length - ended).toBeLessThanOrEqual(lanes);
        }
        for (const _ of answers) {
          await pass(10);
          await end();
        }
        expect(await Promise.all(answers)).toEqual(answers.map((_, index) => `${index},!`));
        const computed = names().join("").split(",").filter(Boolean);
        expect(computed.toSorted()).toEqual(answers.map((_, index) => String(index)).toSorted());
      }),
      { numRuns: 200 },
    );
  });
});
