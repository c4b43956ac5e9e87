import { describe, expect, test } from "bun:test";
import { ServingError } from "../../proto/errors.ts";
import type { InferRequest } from "../../proto/gen/athena/v1/inference_pb.ts";
import type { Engine } from "./engine.ts";

/** How the promises are put to one engine. */
export interface EngineCase {
  /** A new engine, not started. */
  readonly create: () => Engine;
  /** A request that is answered soon. */
  readonly quick: () => InferRequest | Promise<InferRequest>;
  /** A request that would keep the engine busy for long, or for ever. */
  readonly slow: () => InferRequest | Promise<InferRequest>;
}

const never = new AbortController().signal;

async function reasonOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "answered",
    (error) => (error instanceof ServingError ? error.reason : `not a ServingError: ${error}`),
  );
}

/** What every engine promises. */
export function describeEngine(name: string, { create, quick, slow }: EngineCase): void {
  describe(`the ${name} engine, as every engine,`, () => {
    test("refuses calls before it is started and after it is stopped", async () => {
      const engine = create();
      expect(await reasonOf(engine.infer(await quick(), never))).toBe("SERVICE_NOT_READY");
      await engine.start(never);
      expect(await reasonOf(engine.infer(await quick(), never))).toBe("answered");
      await engine.stop();
      expect(await reasonOf(engine.infer(await quick(), never))).toBe("SERVICE_NOT_READY");
    });

    test("gives up a call at once when nobody waits for it, with the signal's reason", async () => {
      const engine = create();
      await engine.start(never);
      const caller = new AbortController();
      const call = reasonOf(engine.infer(await slow(), caller.signal));
      caller.abort(new ServingError("DEADLINE_EXCEEDED", "too late"));
      expect(await call).toBe("DEADLINE_EXCEEDED");
      expect(await reasonOf(engine.infer(await quick(), caller.signal))).toBe("DEADLINE_EXCEEDED");
      await engine.stop();
    });

    test("ends the calls under way when it is stopped, and may be stopped twice", async () => {
      const engine = create();
      await engine.start(never);
      const call = reasonOf(engine.infer(await slow(), never));
      await Promise.all([engine.stop(), engine.stop()]);
      expect(["SERVICE_NOT_READY", "ENGINE_CRASHED"]).toContain(await call);
    });
  });
}
