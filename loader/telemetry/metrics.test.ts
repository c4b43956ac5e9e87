import { expect, test } from "bun:test";
import { createMetrics } from "./metrics.ts";

const metrics = createMetrics(() => []);
const linesOf = async (service: string): Promise<string[]> =>
  (await metrics.render())
    .split("\n")
    .filter((line) => line.startsWith(`athena_loader_wrapper_meter_total{service="${service}"`));

test("what a service's own code counts is added up by its keys, and what is not above 0 is not", async () => {
  for (const count of [3, 4, 0, -5]) metrics.countMeter("a", "words", count);
  metrics.countMeter("a", "x".repeat(1000), 1);
  expect(await linesOf("a")).toEqual([
    'athena_loader_wrapper_meter_total{service="a",key="words"} 7',
    `athena_loader_wrapper_meter_total{service="a",key="${"x".repeat(64)}"} 1`,
  ]);
});

test("a service that makes up keys without end has 100 of them, and one for the rest", async () => {
  for (let i = 0; i < 1000; i += 1) metrics.countMeter("b", `user ${i}`, 1);
  metrics.countMeter("c", "words", 1);
  const lines = await linesOf("b");
  expect(lines).toHaveLength(101);
  expect(lines).toContain('athena_loader_wrapper_meter_total{service="b",key="other"} 900');
  expect(await linesOf("c")).toHaveLength(1);
});
