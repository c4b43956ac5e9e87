import { describe, expect, test } from "bun:test";
import { ServingError } from "../../../proto/errors.ts";
import { createDispatcher } from "./dispatcher.ts";

const never = new AbortController().signal;

function build(count: number, callsPerWorker: number, maxWaitingCalls = 100) {
  const workers = Array.from({ length: count }, (_, at) => ({ at, calls: 0, isAlive: true }));
  const set = new Set(workers);
  const dispatcher = createDispatcher(set, { service: "s", callsPerWorker, maxWaitingCalls });
  const begun: string[] = [];
  const call = (name: string, signal = never): Promise<string> =>
    dispatcher.run((worker) => {
      worker.calls += 1;
      begun.push(`${name} on ${worker.at}`);
      return Promise.resolve(name);
    }, signal);
  const end = (at: number): void => {
    const worker = workers[at];
    if (worker !== undefined) worker.calls -= 1;
    dispatcher.advance();
  };
  return { dispatcher, workers, set, begun, call, end };
}

async function reasonOf(call: Promise<unknown> | undefined): Promise<string> {
  try {
    await call;
    return "answered";
  } catch (error) {
    return ServingError.from(error).reason;
  }
}

describe("createDispatcher()", () => {
  test("gives calls to the least busy worker, and never more to one than it computes at once", async () => {
    const { begun, call, end } = build(2, 2);
    const calls = ["a", "b", "c", "d", "e", "f"].map((name) => call(name));
    expect(begun).toEqual(["a on 0", "b on 1", "c on 0", "d on 1"]);
    end(1);
    end(0);
    expect(begun.slice(4)).toEqual(["e on 1", "f on 0"]);
    expect(await Promise.all(calls)).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  test("keeps the order of waiting calls, and does not begin one whose caller has left", async () => {
    const { begun, call, end } = build(1, 1);
    const caller = new AbortController();
    const calls = [call("a"), call("b"), call("c", caller.signal), call("d")];
    caller.abort(new ServingError("CANCELED", "gone"));
    expect(await reasonOf(calls[2])).toBe("CANCELED");
    end(0);
    end(0);
    end(0);
    expect(begun).toEqual(["a on 0", "b on 0", "d on 0"]);
  });

  test("refuses at once when too many wait, and lets a new one in when one has left", async () => {
    const { call, begun, end } = build(1, 1, 2);
    const caller = new AbortController();
    const calls = [call("a"), call("b", caller.signal), call("c")];
    expect(await reasonOf(call("d"))).toBe("SERVICE_BUSY");
    caller.abort(new ServingError("CANCELED", "gone"));
    expect(await reasonOf(calls[1])).toBe("CANCELED");
    const late = call("e");
    end(0);
    end(0);
    expect(await late).toBe("e");
    expect(begun).toEqual(["a on 0", "c on 0", "e on 0"]);
  });

  test("refuses what waits when no worker is left, and whatever comes then", async () => {
    const { dispatcher, set, call } = build(1, 1);
    await call("a");
    const waiting = reasonOf(call("b"));
    set.clear();
    dispatcher.refuse();
    expect(await waiting).toBe("SERVICE_NOT_READY");
    expect(await reasonOf(call("c"))).toBe("SERVICE_NOT_READY");
  });

  test("gives nothing to a worker that has ended, even before it is taken out", async () => {
    const { workers, call, begun, end } = build(2, 1);
    await call("a");
    await call("b");
    const waiting = call("c");
    const [first] = workers;
    if (first !== undefined) first.isAlive = false;
    end(0);
    expect(begun).toEqual(["a on 0", "b on 1"]);
    end(1);
    expect(await waiting).toBe("c");
    expect(begun).toEqual(["a on 0", "b on 1", "c on 1"]);
  });
});
