import { expect, test } from "bun:test";
import { createRestartPolicy } from "./restart-policy.ts";

/** A policy on a clock that stands, and the hand that moves it. */
function build(random: number) {
  let now = 0;
  const policy = createRestartPolicy(
    () => now,
    () => random,
  );
  const pass = (ms: number): void => {
    now += ms;
  };
  return { ...policy, pass };
}

test("waits twice as long after each end, and half a minute in a crash loop", () => {
  const policy = build(1);
  const delays = Array.from({ length: 6 }, () => {
    policy.pass(1000);
    return policy.ended().delayMs;
  });
  expect(delays).toEqual([100, 200, 400, 800, 30_000, 30_000]);
});

test("stays in the loop while each start fails half a minute after the one before", () => {
  const policy = build(1);
  for (let i = 0; i < 5; i += 1) policy.ended();
  for (let i = 0; i < 20; i += 1) {
    policy.pass(30_000);
    expect(policy.ended()).toMatchObject({ isLoop: true, delayMs: 30_000 });
  }
});

test("forgets ends after a minute without one", () => {
  const policy = build(0);
  for (let i = 0; i < 5; i += 1) policy.ended();
  policy.pass(61_000);
  expect(policy.ended()).toEqual({ crashes: 1, isLoop: false, delayMs: 75 });
});

test("begins anew when a call was answered, so that requests which crash a sound engine do not keep it down", () => {
  const policy = build(1);
  for (let i = 0; i < 50; i += 1) {
    expect(policy.ended()).toEqual({ crashes: 1, isLoop: false, delayMs: 100 });
    policy.answered();
  }
});
