import { describe, expect, test } from "bun:test";
import { createIdleWatch } from "./idle-watch.ts";

const abortOf = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(signal.reason), { once: true }));

describe("createIdleWatch()", () => {
  test("aborts a session in which nobody says anything, and names its service", async () => {
    using watch = createIdleWatch(new AbortController().signal, 20, "echo");
    expect(await abortOf(watch.signal)).toMatchObject({
      reason: "SESSION_TIMEOUT",
      message: "the session of service 'echo' was silent for 20 ms",
    });
  });

  test("waits anew with each chunk that passes, and each result that it is told of", async () => {
    using watch = createIdleWatch(new AbortController().signal, 60, "echo");
    const started = performance.now();
    async function* chunks() {
      for (let index = 0; index < 5; index += 1) {
        await Bun.sleep(20);
        yield index;
      }
    }
    for await (const chunk of watch.watch(chunks())) expect(chunk).toBeNumber();
    watch.touch();
    await abortOf(watch.signal);
    expect(performance.now() - started).toBeGreaterThan(150);
  });

  test("aborts with the reason of the call around it, also when that was over before", async () => {
    const call = new AbortController();
    using watch = createIdleWatch(call.signal, 10_000, "echo");
    const aborted = abortOf(watch.signal);
    call.abort("hung up");
    expect(await aborted).toBe("hung up");
    using late = createIdleWatch(call.signal, 10_000, "echo");
    expect(late.signal.reason).toBe("hung up");
  });

  test("does nothing any more once it is disposed of", async () => {
    const call = new AbortController();
    const watch = createIdleWatch(call.signal, 5, "echo");
    watch[Symbol.dispose]();
    call.abort("hung up");
    await Bun.sleep(20);
    expect(watch.signal.aborted).toBe(false);
  });
});
