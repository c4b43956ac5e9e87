import { describe, expect, test } from "bun:test";
import { type Reason, ServingError } from "../../../proto/errors.ts";
import { untilReady } from "./until-ready.ts";

function wait(answers: readonly (Reason | "ready")[], signal: AbortSignal) {
  const progress: string[] = [];
  let asked = 0;
  const ask = async (): Promise<string> => {
    const answer = answers[Math.min(asked, answers.length - 1)] ?? "ready";
    asked += 1;
    if (answer === "ready") return "the model";
    throw new ServingError(answer, `it is ${answer}`);
  };
  const onProgress = (text: string) => progress.push(text);
  const answer = untilReady({ ask, service: "served", startTimeoutMs: 500, timeoutMs: 100, signal, onProgress });
  return { answer, progress };
}

const never = new AbortController().signal;

describe("untilReady()", () => {
  test("asks until there is an answer, and tells each new reason why there is none", async () => {
    const { answer, progress } = wait(["SERVICE_NOT_READY", "SERVICE_NOT_READY", "ENGINE_CRASHED", "ready"], never);
    expect(await answer).toBe("the model");
    expect(progress).toEqual(["waiting: it is SERVICE_NOT_READY", "waiting: it is ENGINE_CRASHED"]);
  });

  test("does not wait for what cannot come", async () => {
    await expect(wait(["OUTPUT_UNEXPECTED", "ready"], never).answer).rejects.toMatchObject({
      reason: "OUTPUT_UNEXPECTED",
    });
  });

  test("says what was missing when its time is over", async () => {
    await expect(wait(["SERVICE_BUSY"], AbortSignal.timeout(100)).answer).rejects.toMatchObject({
      reason: "SERVICE_NOT_READY",
      message: "service 'served' was not ready within 500 ms: it is SERVICE_BUSY",
    });
  });

  test("ends with the reason of whoever stops it", async () => {
    const stopping = new AbortController();
    const { answer } = wait(["SERVICE_NOT_READY"], stopping.signal);
    stopping.abort(new ServingError("SERVICE_NOT_READY", "it was stopped"));
    await expect(answer).rejects.toThrow("it was stopped");
  });

  test("limits each question", async () => {
    let asked = 0;
    const ask = (signal: AbortSignal): Promise<string> => {
      asked += 1;
      if (asked > 1) return Promise.resolve("the model");
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    };
    const onProgress = () => {};
    const options = { ask, service: "s", startTimeoutMs: 500, timeoutMs: 10, signal: never, onProgress };
    expect(await untilReady(options)).toBe("the model");
  });
});
