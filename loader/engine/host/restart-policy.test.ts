import { expect, test } from "bun:test";
import { createRestartPolicy } from "./restart-policy.ts";

test("waits twice as long after each end, and half a minute in a crash loop", () => {
  let now = 0;
  const next = createRestartPolicy(
    () => now,
    () => 1,
  );
  const delays = Array.from({ length: 6 }, () => {
    now += 1000;
    return next().delayMs;
  });
  expect(delays).toEqual([100, 200, 400, 800, 30_000, 30_000]);
});

test("forgets ends that are more than a minute old", () => {
  let now = 0;
  const next = createRestartPolicy(
    () => now,
    () => 0,
  );
  for (let i = 0; i < 5; i += 1) next();
  now = 61_000;
  expect(next()).toEqual({ crashes: 1, isLoop: false, delayMs: 75 });
});
