import { afterEach, describe, expect, test } from "bun:test";
import { ServingError } from "../../../proto/errors.ts";
import type { EngineHealth } from "../engine.ts";
import { createHealthWatch, type HealthWatch } from "./health-watch.ts";

let watch: HealthWatch | undefined;

afterEach(() => watch?.stop());

/** Watches a server whose answers the test chooses; gives what it is told, as it comes. */
function watchServer(intervalMs: number, timeoutMs = 1000) {
  const server = { answer: (_: AbortSignal): Promise<void> => Promise.resolve(), probes: 0 };
  const told: EngineHealth[] = [];
  let onTold: () => void = () => {};
  let onProbe: () => void = () => {};
  watch = createHealthWatch({
    intervalMs,
    timeoutMs,
    failures: 3,
    random: () => 0.5,
    probe(signal) {
      server.probes += 1;
      onProbe();
      return server.answer(signal);
    },
    onHealth(health) {
      told.push(health);
      onTold();
    },
  });
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      onProbe = onTold = () => {
        if (condition()) resolve();
      };
      onProbe();
    });
  return { server, told, watch, until };
}

const refusal = new ServingError("SERVICE_NOT_READY", "the model is not ready");
const broken = new ServingError("ENGINE_CRASHED", "broken");

describe("a watch", () => {
  test("tells at once that a server says no, and as soon as it says yes again", async () => {
    const { server, told, until } = watchServer(100);
    server.answer = () => Promise.reject(refusal);
    await until(() => told.length === 1);
    expect(server.probes).toBe(1);
    server.answer = () => Promise.resolve();
    await until(() => told.length === 2);
    expect(told).toEqual([{ ready: false, reason: "the model is not ready" }, { ready: true }]);
  });

  test("gives a server that does not answer three probes, and forgets those that an answer follows", async () => {
    const { server, told, until } = watchServer(100);
    server.answer = () => (server.probes === 3 ? Promise.resolve() : Promise.reject(broken));
    await until(() => told.length === 1);
    expect(server.probes).toBe(6);
    expect(told).toEqual([{ ready: false, reason: "no answer to 3 probes" }]);
  });

  test("ends a probe that takes too long", async () => {
    const { server, told, until } = watchServer(100, 20);
    server.answer = (signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    await until(() => told.length === 1);
    expect(told).toEqual([{ ready: false, reason: "no answer to 3 probes" }]);
  });

  test("asks soon when a call speaks against the server, and not for each such call", async () => {
    const { server, told, watch, until } = watchServer(3_600_000);
    server.answer = () => Promise.reject(refusal);
    for (let call = 0; call < 100; call += 1) watch.suspect();
    await until(() => told.length === 1);
    expect(server.probes).toBe(1);
  });

  test("is silent once it is stopped", async () => {
    const { server, told, watch, until } = watchServer(100);
    const asked = Promise.withResolvers<void>();
    server.answer = () => asked.promise;
    await until(() => server.probes === 1);
    watch.stop();
    asked.reject(refusal);
    await Bun.sleep(250);
    expect([server.probes, told]).toEqual([1, []]);
  });
});
