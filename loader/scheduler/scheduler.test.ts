import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ServingError } from "../../proto/errors.ts";
import { createScheduler, type SchedulerOptions } from "./scheduler.ts";

const never = new AbortController().signal;
const unbounded = { signal: never, deadline: Number.POSITIVE_INFINITY };

function build(changes: Partial<SchedulerOptions> = {}) {
  const clock = { now: 0 };
  const waits: number[] = [];
  const scheduler = createScheduler({
    service: "s",
    total: 1,
    best: 1,
    maxQueueLength: 10,
    now: () => clock.now,
    onWait: (waitMs) => waits.push(waitMs),
    ...changes,
  });
  return { scheduler, clock, waits };
}

/** Work that ends when it is told to. */
function work() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { run: () => promise, end: () => resolve("done"), fail: reject };
}

/** Lets everything go on that can. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "answered",
    (error) => ServingError.from(error).reason,
  );
}

describe("createScheduler()", () => {
  test("runs as many calls at once as there are slots, the others in order of arrival", async () => {
    const { scheduler } = build({ total: 2 });
    const order: number[] = [];
    const works = [work(), work(), work(), work()];
    const calls = works.map((item, i) =>
      scheduler.run(() => {
        order.push(i);
        return item.run();
      }, unbounded),
    );
    await settle();
    expect(order).toEqual([0, 1]);
    expect(scheduler.load()).toMatchObject({ total: 2, idle: 0, queued: 2 });
    works[1]?.end();
    await settle();
    expect(order).toEqual([0, 1, 2]);
    for (const item of works) item.end();
    await Promise.all(calls);
    expect(scheduler.load()).toMatchObject({ idle: 2, queued: 0 });
  });

  test("lets a higher priority go first", async () => {
    const { scheduler } = build();
    const order: string[] = [];
    const first = work();
    const call = scheduler.run(first.run, unbounded);
    const rest = (["low", "high", "low again"] as const).map((name) =>
      scheduler.run(async () => void order.push(name), { ...unbounded, priority: name === "high" ? 1 : 0 }),
    );
    first.end();
    await Promise.all([call, ...rest]);
    expect(order).toEqual(["high", "low", "low again"]);
  });

  test("refuses at once when the queue is full", async () => {
    const { scheduler } = build({ maxQueueLength: 1 });
    const first = work();
    const calls = [scheduler.run(first.run, unbounded), scheduler.run(async () => "second", unbounded)];
    expect(await reasonOf(scheduler.run(async () => "third", unbounded))).toBe("SERVICE_BUSY");
    first.end();
    expect(await Promise.all(calls)).toEqual(["done", "second"]);
  });

  test("refuses at once what would get its slot only after its deadline, once it knows how long calls take", async () => {
    const { scheduler, clock } = build();
    const first = work();
    const call = scheduler.run(first.run, unbounded);
    await settle();
    clock.now = 1000;
    first.end();
    await call;
    const second = work();
    const running = scheduler.run(second.run, unbounded);
    const late = scheduler.run(async () => "late", { signal: never, deadline: clock.now + 500 });
    await expect(late).rejects.toMatchObject({ reason: "SERVICE_BUSY", retryAfterMs: 1000 });
    second.end();
    await running;
  });

  test("forgets one who hangs up while waiting, and gives its turn to the next", async () => {
    const { scheduler } = build();
    const first = work();
    const running = scheduler.run(first.run, unbounded);
    const caller = new AbortController();
    const waiting = reasonOf(scheduler.run(async () => "never", { ...unbounded, signal: caller.signal }));
    const next = scheduler.run(async () => "next", unbounded);
    caller.abort(new ServingError("CANCELED", "hung up"));
    expect(await waiting).toBe("CANCELED");
    expect(scheduler.load().queued).toBe(1);
    first.end();
    await running;
    expect(await next).toBe("next");
  });

  test("gives the slot back when the work fails, and tells how long each call waited", async () => {
    const { scheduler, clock, waits } = build();
    const first = work();
    const failing = reasonOf(scheduler.run(first.run, unbounded));
    const second = scheduler.run(async () => "second", unbounded);
    clock.now = 250;
    first.fail(new ServingError("ENGINE_FAILED", "no"));
    expect(await failing).toBe("ENGINE_FAILED");
    expect(await second).toBe("second");
    expect(waits).toEqual([0, 250]);
  });

  test("has every slot idle when traffic stops, whatever happened to the calls", async () => {
    const event = fc.record({
      fails: fc.boolean(),
      abortsAfter: fc.option(fc.nat(3), { nil: undefined }),
      turns: fc.nat(5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 40 }), fc.integer({ min: 1, max: 4 }), async (events, total) => {
        const { scheduler } = build({ total, maxQueueLength: 8 });
        let running = 0;
        const calls = events.map(async ({ fails, abortsAfter, turns }) => {
          const caller = new AbortController();
          const call = scheduler.run(
            async () => {
              running += 1;
              expect(running).toBeLessThanOrEqual(total);
              for (let i = 0; i < turns; i += 1) await Promise.resolve();
              running -= 1;
              if (fails) throw new ServingError("ENGINE_FAILED", "no");
            },
            { ...unbounded, signal: caller.signal },
          );
          const outcome = reasonOf(call);
          for (let i = 0; i < (abortsAfter ?? 0); i += 1) await Promise.resolve();
          if (abortsAfter !== undefined) caller.abort(new ServingError("CANCELED", "hung up"));
          return outcome;
        });
        await Promise.all(calls);
        expect(scheduler.load()).toMatchObject({ idle: total, queued: 0 });
      }),
      { numRuns: 100 },
    );
  });

  test("takes more calls at once when it is given more slots, and fewer when it has fewer", async () => {
    const { scheduler } = build({ total: 1 });
    const works = [work(), work(), work()];
    let begun = 0;
    const calls = works.map((item) =>
      scheduler.run(() => {
        begun += 1;
        return item.run();
      }, unbounded),
    );
    await settle();
    expect(begun).toBe(1);
    scheduler.resize(2, 1);
    await settle();
    expect(begun).toBe(2);
    expect(scheduler.load()).toMatchObject({ total: 2, best: 1, idle: 0, queued: 1 });
    scheduler.resize(1, 1);
    works[0]?.end();
    await settle();
    expect(begun).toBe(2);
    expect(scheduler.load()).toMatchObject({ total: 1, idle: 0, queued: 1 });
    works[1]?.end();
    await settle();
    expect(begun).toBe(3);
    works[2]?.end();
    await Promise.all(calls);
    expect(scheduler.load()).toMatchObject({ total: 1, idle: 1, queued: 0 });
  });
});
