import { describe, expect, test } from "bun:test";
import { createRetryBudget } from "./retry-budget.ts";

function setUp() {
  const clock = { ms: 0 };
  const budget = createRetryBudget({ now: () => clock.ms });
  const requests = (count: number): void => {
    for (let i = 0; i < count; i += 1) budget.countRequest();
  };
  const retriesLeft = (): number => {
    let count = 0;
    while (count < 100_000 && budget.tryRetry()) count += 1;
    return count;
  };
  return { clock, requests, retriesLeft };
}

describe("the retry budget", () => {
  test("grants ten retries for each second of its window without traffic", () => {
    expect(setUp().retriesLeft()).toBe(100);
  });

  test("grants one more retry for every five requests", () => {
    const { requests, retriesLeft } = setUp();
    requests(1000);
    expect(retriesLeft()).toBe(300);
    requests(5);
    expect(retriesLeft()).toBe(1);
  });

  test("forgets requests and retries after ten seconds", () => {
    const { clock, requests, retriesLeft } = setUp();
    requests(1000);
    expect(retriesLeft()).toBe(300);
    clock.ms = 9999;
    expect(retriesLeft()).toBe(0);
    clock.ms = 10_000;
    expect(retriesLeft()).toBe(100);
  });

  test("holds over every ten seconds of uneven traffic", () => {
    const { clock, requests, retriesLeft } = setUp();
    const history: { requests: number; retries: number }[] = [];
    for (let second = 0; second < 60; second += 1) {
      clock.ms = second * 1000;
      const count = (second * 7919) % 500;
      requests(count);
      history.push({ requests: count, retries: retriesLeft() });
      const window = history.slice(-10);
      const earned = 100 + window.reduce((sum, entry) => sum + entry.requests, 0) * 0.2;
      expect(window.reduce((sum, entry) => sum + entry.retries, 0)).toBeLessThanOrEqual(earned);
    }
  });
});
