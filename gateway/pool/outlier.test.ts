import { describe, expect, test } from "bun:test";
import { createEndpoint } from "./endpoint.ts";
import { createOutlierDetector } from "./outlier.ts";

function setUp(options: { random?: number; maxEjectedFraction?: number } = {}) {
  const clock = { ms: 100_000 };
  const { random = 0, maxEjectedFraction = 1 } = options;
  const detector = createOutlierDetector({ now: () => clock.ms, random: () => random, maxEjectedFraction });
  return { clock, detector, a: createEndpoint("http://a", 1), b: createEndpoint("http://b", 1) };
}

describe("the outlier detector", () => {
  test("ejects after three broken connections in a row, not after three that an answer interrupts", () => {
    const { detector, a, b, clock } = setUp();
    for (let i = 0; i < 2; i += 1) {
      detector.failed(a, "ENDPOINT_LOST", 2);
      detector.failed(b, "ENDPOINT_LOST", 2);
    }
    detector.succeeded(b, clock.ms);
    detector.failed(a, "ENDPOINT_LOST", 2);
    detector.failed(b, "ENDPOINT_LOST", 2);
    expect([detector.isEjected(a), detector.isEjected(b)]).toEqual([true, false]);
  });

  for (const reason of ["ENDPOINT_UNREACHABLE", "DRAINING", "SERVICE_NOT_READY"] as const) {
    test(`ejects after one ${reason}`, () => {
      const { detector, a } = setUp();
      detector.failed(a, reason, 2);
      expect(detector.isEjected(a)).toBe(true);
    });
  }

  test("ignores failures that are not the endpoint's", () => {
    const { detector, a } = setUp();
    for (const reason of [
      "SERVICE_BUSY",
      "CANCELED",
      "DEADLINE_EXCEEDED",
      "ENGINE_CRASHED",
      "INVALID_INPUT",
    ] as const) {
      for (let i = 0; i < 10; i += 1) detector.failed(a, reason, 2);
    }
    expect(detector.isEjected(a)).toBe(false);
  });

  test("doubles each ejection that follows closely, up to 30 seconds, and begins anew after a good stretch", () => {
    const { detector, a, clock } = setUp();
    const lengths: number[] = [];
    for (let i = 0; i < 7; i += 1) {
      detector.failed(a, "ENDPOINT_UNREACHABLE", 2);
      lengths.push(detector.nextReadmission() - clock.ms);
      clock.ms = detector.nextReadmission();
      expect(detector.isEjected(a)).toBe(false);
    }
    clock.ms += 30_000;
    detector.failed(a, "ENDPOINT_UNREACHABLE", 2);
    lengths.push(detector.nextReadmission() - clock.ms);
    expect(lengths).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 1000]);
  });

  test("shortens an ejection by up to a quarter at random", () => {
    const { detector, a, clock } = setUp({ random: 0.8 });
    detector.failed(a, "ENDPOINT_UNREACHABLE", 2);
    expect(detector.nextReadmission() - clock.ms).toBe(800);
  });

  test("does not lengthen an ejection by failures of calls that were under way", () => {
    const { detector, a, clock } = setUp();
    for (let i = 0; i < 20; i += 1) detector.failed(a, "ENDPOINT_LOST", 2);
    expect(detector.nextReadmission() - clock.ms).toBe(1000);
    clock.ms += 1000;
    expect(detector.isEjected(a)).toBe(false);
  });

  test("readmits after an answer to a call that began during the ejection, not after an older one", () => {
    const { detector, a, clock } = setUp();
    detector.failed(a, "ENDPOINT_UNREACHABLE", 2);
    detector.succeeded(a, clock.ms - 1);
    expect(detector.isEjected(a)).toBe(true);
    detector.succeeded(a, clock.ms);
    expect(detector.isEjected(a)).toBe(false);
    expect(detector.nextReadmission()).toBe(Number.POSITIVE_INFINITY);
  });

  test("ejects no more than its part of the pool, but at least one", () => {
    const { detector, a, b } = setUp({ maxEjectedFraction: 0.5 });
    detector.failed(a, "ENDPOINT_UNREACHABLE", 3);
    detector.failed(b, "ENDPOINT_UNREACHABLE", 3);
    expect([detector.isEjected(a), detector.isEjected(b)]).toEqual([true, false]);
    detector.failed(b, "ENDPOINT_UNREACHABLE", 4);
    expect(detector.isEjected(b)).toBe(true);
    const alone = setUp({ maxEjectedFraction: 0.1 });
    alone.detector.failed(alone.a, "ENDPOINT_UNREACHABLE", 1);
    expect(alone.detector.isEjected(alone.a)).toBe(true);
  });

  test("forgets an endpoint that left", () => {
    const { detector, a } = setUp();
    detector.failed(a, "ENDPOINT_UNREACHABLE", 2);
    detector.forget(a);
    expect(detector.isEjected(a)).toBe(false);
  });
});
