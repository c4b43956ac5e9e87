import { describe, expect, test } from "bun:test";
import type { Endpoint } from "../types.ts";
import { createEndpoint } from "./endpoint.ts";
import { type HealthCheckOptions, type Schedule, startHealthCheck } from "./health-check.ts";

/** A clock with timers that moves when told. */
function createClock() {
  let ms = 0;
  let orders: { at: number; run: () => void }[] = [];
  const schedule: Schedule = (run, delayMs) => {
    const order = { at: ms + delayMs, run };
    orders.push(order);
    return () => {
      orders = orders.filter((other) => other !== order);
    };
  };
  const advance = async (byMs: number): Promise<void> => {
    ms += byMs;
    const due = orders.filter(({ at }) => at <= ms);
    orders = orders.filter(({ at }) => at > ms);
    for (const { run } of due) run();
    // The promises that the timers settled have their say: one turn of the event loop is more than all of them.
    await new Promise(setImmediate);
  };
  return { schedule, advance, pending: () => orders.length };
}

function setUp(names: readonly string[], options: Partial<HealthCheckOptions> = {}) {
  const clock = createClock();
  const down = new Set<string>();
  const told: string[] = [];
  const endpoints = names.map((name) => createEndpoint(name, 1));
  const pool = {
    endpoints: () => endpoints,
    setHealthy: (endpoint: Endpoint, healthy: boolean) => told.push(`${endpoint.url} ${healthy ? "up" : "down"}`),
  };
  const probe = async ({ url }: Endpoint): Promise<void> => {
    if (down.has(url)) throw new Error("the probe failed");
  };
  const check = startHealthCheck({
    pool,
    probe,
    intervalMs: 100,
    timeoutMs: 50,
    schedule: clock.schedule,
    ...options,
  });
  return { clock, down, told, check };
}

describe("the health check", () => {
  test("probes every endpoint at once, and then once an interval", async () => {
    const { told, clock, check } = setUp(["a", "b"]);
    await check.settled();
    expect(told).toEqual(["a up", "b up"]);
    await clock.advance(99);
    expect(told).toHaveLength(2);
    await clock.advance(1);
    expect(told).toHaveLength(4);
  });

  test("calls an endpoint unhealthy after two failures in a row, and healthy after one answer", async () => {
    const { told, down, clock } = setUp(["a"]);
    await clock.advance(0);
    down.add("a");
    await clock.advance(100);
    expect(told).toEqual(["a up"]);
    await clock.advance(100);
    expect(told).toEqual(["a up", "a down"]);
    down.delete("a");
    await clock.advance(100);
    expect(told).toEqual(["a up", "a down", "a up"]);
  });

  test("counts a probe that does not answer in time as failed, and aborts it", async () => {
    const signals: AbortSignal[] = [];
    const { told, clock } = setUp(["a"], {
      unhealthyThreshold: 1,
      probe: (_, signal) => {
        signals.push(signal);
        return new Promise(() => {});
      },
    });
    await clock.advance(49);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual(["a down"]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });

  test("counts a probe that throws before it waits as failed", async () => {
    const { told, check } = setUp(["a"], {
      unhealthyThreshold: 1,
      probe: () => {
        throw new Error("the probe cannot start");
      },
    });
    await check.settled();
    expect(told).toEqual(["a down"]);
  });

  test("does not begin a round while the one before is under way", async () => {
    let probes = 0;
    const { clock } = setUp(["a"], {
      timeoutMs: 250,
      probe: () => {
        probes += 1;
        return new Promise(() => {});
      },
    });
    await clock.advance(100);
    await clock.advance(100);
    expect(probes).toBe(1);
    await clock.advance(50);
    expect(probes).toBe(2);
  });

  test("has at most 16 probes under way for one service", async () => {
    let running = 0;
    let most = 0;
    const names = Array.from({ length: 100 }, (_, index) => `e${index}`);
    const { told, check } = setUp(names, {
      probe: async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise(setImmediate);
        running -= 1;
      },
    });
    await check.settled();
    expect(most).toBe(16);
    expect(told).toHaveLength(100);
  });

  test("tells of the first healthy endpoint once, again only after the telling failed", async () => {
    const firsts: string[] = [];
    const { down, clock } = setUp(["a", "b"], {
      onFirstHealthy: async ({ url }) => {
        firsts.push(url);
        if (firsts.length === 1) throw new Error("the definition could not be read");
      },
    });
    await clock.advance(0);
    expect(firsts).toEqual(["a"]);
    down.add("a");
    await clock.advance(100);
    await clock.advance(100);
    expect(firsts).toEqual(["a", "b"]);
  });

  test("ends with its timers when it is disposed of", async () => {
    const { told, clock, check } = setUp(["a"], { probe: () => new Promise(() => {}) });
    check[Symbol.dispose]();
    await check.settled();
    await clock.advance(1000);
    expect(told).toEqual([]);
    expect(clock.pending()).toBe(0);
  });
});
